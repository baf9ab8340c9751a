"""What a warm-up changes in a search: alpha, beta, entropies and cross entropy by option, over epochs and seeds.

Two variants of EASRec's search on the same settings: ``before`` as it was (alpha and beta learn from the first
iteration on, 0.05 a step, the best epoch's architecture is exported), ``after`` with the defaults of the settings:

    python benchmarks/search_warmup.py benchmarks/settings/amazon-beauty.yml --out benchmarks/results/search-warmup

Runs lie under --runs; one that was killed resumes, one that is complete is read. Writes ``DATASET.csv`` (a row for each
variant, seed and epoch), ``DATASET.json`` (what was exported, with command, commit and versions) and a plot of each
variant.
"""

from __future__ import annotations

import argparse
import csv
import logging
import warnings
from pathlib import Path
from typing import Any

from easrec_nni import TrialSettings, search
from easrec_nni.common.files import replacing, write_json
from easrec_nni.common.provenance import provenance
from easrec_nni.report.histories import option_curves
from easrec_nni.report.plots.options import options_plot
from easrec_nni.training.threads import use_threads

VARIANTS: dict[str, dict[str, Any]] = {
    "before": {"search.warmup_epochs": 0, "search.arch_learning_rate": 0.05, "search.export": "best_epoch"},
    "after": {},
}


def read_options() -> argparse.Namespace:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("settings", type=Path)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--runs", type=Path, default=Path("runs/search-warmup"))
    parser.add_argument("--out", type=Path, required=True)
    return parser.parse_args()


def draw(variant: str, rows: list[dict[str, Any]], stem: Path) -> None:
    """Plot a variant's cross entropies, charges and probabilities, means over the seeds."""
    histories: dict[int, list[dict[str, float]]] = {}
    for row in rows:
        figures = {name: value for name, value in row.items() if name not in ("variant", "seed")}
        histories.setdefault(row["seed"], []).append(figures)
    warmup = sum(row["warmup"] for row in histories[0])
    picture = options_plot(option_curves(histories), warmup, f"{stem.name}, {variant}", f"{stem.name}-{variant}")
    with replacing(stem.with_name(f"{picture.name}.png")) as part:
        part.write_bytes(picture.png)


def main() -> None:
    """Run what is missing; write the files after every run."""
    options = read_options()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    warnings.filterwarnings("ignore")
    threads = use_threads(None)
    settings = TrialSettings.read(options.settings)
    options.out.mkdir(parents=True, exist_ok=True)
    rows: list[dict[str, Any]] = []
    exported: list[dict[str, Any]] = []
    for seed in range(options.seeds):
        for variant, changes in VARIANTS.items():
            run = settings.with_parameters({**changes, "seed": seed})
            logging.info("%s, seed %d", variant, seed)
            found = search(run.data, run, options.runs / settings.data / f"{variant}-{seed}")
            rows += [{"variant": variant, "seed": seed, **row} for row in found.history]
            exported.append(
                {
                    "variant": variant,
                    "seed": seed,
                    "choices": found.architecture.choices.model_dump(),
                    "madds_per_user": found.architecture.cost["madds_per_user"],
                    "entropies": found.architecture.entropies,
                    "probabilities": found.architecture.probabilities,
                    "metrics": found.architecture.metrics,
                }
            )
        with replacing(options.out / f"{settings.data}.csv") as part, part.open("w", newline="") as file:
            writer = csv.DictWriter(file, fieldnames=list(rows[0]))
            writer.writeheader()
            writer.writerows(
                {name: f"{x:.6g}" if isinstance(x, float) else x for name, x in row.items()} for row in rows
            )
        for variant in VARIANTS:
            draw(variant, [row for row in rows if row["variant"] == variant], options.out / settings.data)
        document = {"settings": run.model_dump(mode="json", by_alias=True), "threads": threads, "exported": exported}
        write_json(options.out / f"{settings.data}.json", document | provenance())


if __name__ == "__main__":
    main()
