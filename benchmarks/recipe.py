"""What makes a training accurate: single changes of one recipe, each beside the base with the same seed.

A study file has ``settings`` (the base, as of a trial) and ``changes``: by name, the settings that differ from the
base, or from the change that ``compared_with`` names. Every network is the unpruned one of its space, from fresh
weights. A change is judged by the validation users, in the ranking that selects the epoch: the mean over users of the
difference between its NDCG@10 and that of the network it is compared with, of the same seed, with the standard error of
that difference. Test figures are written beside it and decide nothing.

    python benchmarks/recipe.py benchmarks/settings/recipe-beauty.yml --only base "augmented prefixes" --seeds 0
    python benchmarks/recipe.py benchmarks/settings/recipe-beauty.yml --collect --out benchmarks/results/recipe-beauty

Runs lie under --runs; what is complete there is not done again, and what was cut short goes on. --collect trains
nothing and writes a row for each complete run.
"""

from __future__ import annotations

import argparse
import csv
import logging
import warnings
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from easrec_nni.architecture.document import Architecture
from easrec_nni.common.errors import UserError
from easrec_nni.common.files import atomic_write
from easrec_nni.common.yaml_files import read_yaml
from easrec_nni.evaluation.metrics import standard_error, user_gains
from easrec_nni.retraining.metrics import read_metrics
from easrec_nni.retraining.stage import retrain
from easrec_nni.settings.trial import TrialSettings
from easrec_nni.training.threads import use_threads

BASE = "base"
FIGURES = ("recall@10_unseen", "ndcg@10_unseen", "recall@10_full", "ndcg@10_full")


class Change(NamedTuple):
    """Single change: the settings that it replaces in the base, and the name of the change it is compared with."""

    settings: dict[str, Any]
    compared_with: str


def read_study(path: Path) -> tuple[TrialSettings, dict[str, Change]]:
    """Base settings, and the changes by name; a change comes after the one it is compared with."""
    document = read_yaml(path, "study", "see benchmarks/settings/recipe-beauty.yml", "settings: {data: ml-100k}")
    settings = TrialSettings.parse(document["settings"], str(path))
    changes = {BASE: Change({}, BASE)}
    for name, given in (document.get("changes") or {}).items():
        own = dict(given)
        other = own.pop("compared_with", BASE)
        if other not in changes:
            raise UserError(f"{path}, {name}: compared_with names {other!r}, which no change before it has")
        changes[name] = Change({**changes[other].settings, **own}, other)
        settings.with_parameters(changes[name].settings)
    return settings, changes


def train(settings: TrialSettings, folder: Path) -> None:
    """Train the unpruned network of the settings' space."""
    dataset = settings.dataset()
    space = settings.space_for(dataset)
    retrain(Architecture(choices=space.largest, space=space), dataset, folder, settings=settings.with_parameters({}))


def row_of(name: str, change: Change, seed: int, folder: Path, base: Path, select_by: str) -> dict[str, Any]:
    """A complete run: its figures, and its gain on the network that it is compared with."""
    metrics = read_metrics(folder).as_json()
    gain, error = paired_gain(folder, base, select_by)
    refitted = metrics.get("test_refitted", {})
    return {
        "change": name,
        "settings": " ".join(f"{key}={value}" for key, value in change.settings.items()),
        "seed": seed,
        **{f"{part}_{figure}": f"{metrics[part][figure]:.5f}" for part in ("valid", "test") for figure in FIGURES},
        **{
            f"test_{figure}_refitted": f"{v:.5f}" if (v := refitted.get(f"{figure}_refitted")) else ""
            for figure in FIGURES
        },
        "gain_valid_ndcg@10_unseen": f"{gain:+.5f}" if gain is not None else "",
        "gain_standard_error": f"{error:.5f}" if error is not None else "",
        "best_epoch": metrics["training"]["best_epoch"],
        "epochs": metrics["training"]["epochs"],
        "seconds": round(metrics["training"]["seconds"]),
        "commit": metrics.get("commit") or "",
        "compared_with": change.compared_with if gain is not None else "",
    }


def paired_gain(folder: Path, base: Path, select_by: str) -> tuple[float | None, float | None]:
    """Mean over validation users of the difference of their NDCG@10, and its standard error; None without a base."""
    if not (base / "metrics.json").is_file() or base == folder:
        return None, None
    protocol = select_by.partition("_")[2]
    gains = [user_gains(_validation_ranks(run, protocol), "ndcg", 10) for run in (folder, base)]
    difference = gains[0] - gains[1]
    return float(difference.mean()), standard_error(difference)


def _validation_ranks(folder: Path, protocol: str) -> NDArray[np.int64]:
    with np.load(folder / "ranks.npz") as ranks:
        return np.asarray(ranks[f"valid_{protocol}"])


def folder_of(runs: Path, name: str, seed: int) -> Path:
    """Folder of a run."""
    return runs / name.replace(" ", "-").replace("/", "-") / f"seed{seed}"


def collect(runs: Path, settings: TrialSettings, changes: dict[str, Change], out: Path) -> None:
    """Write ``runs.csv``: a row for each complete run."""
    rows = []
    for name, change in changes.items():
        for folder in sorted((runs / folder_of(runs, name, 0).parent.name).glob("seed*")):
            if (folder / "metrics.json").is_file():
                seed = int(folder.name.removeprefix("seed"))
                base = folder_of(runs, change.compared_with, seed)
                rows.append(row_of(name, change, seed, folder, base, settings.select_by))
    if not rows:
        raise UserError(f"there is no complete run below {runs}")
    out.mkdir(parents=True, exist_ok=True)
    with atomic_write(out / "runs.csv") as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def main() -> None:
    """Train what was asked for, or collect."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study", type=Path)
    parser.add_argument("--only", nargs="+", help="names of changes; all by default")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--refit", action="store_true", help="refit each run after it")
    parser.add_argument("--runs", type=Path, default=Path("runs") / "recipe")
    parser.add_argument("--collect", action="store_true")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--threads", type=int)
    options = parser.parse_args()
    warnings.filterwarnings("ignore")
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    settings, changes = read_study(options.study)
    if options.collect:
        collect(options.runs, settings, changes, options.out or options.runs)
        return
    use_threads(options.threads)
    for name in options.only or changes:
        for seed in options.seeds:
            logging.info("%s, seed %d", name, seed)
            given = {**changes[name].settings, "seed": seed, **({"retrain.refit": True} if options.refit else {})}
            train(settings.with_parameters(given), folder_of(options.runs, name, seed))


if __name__ == "__main__":
    main()
