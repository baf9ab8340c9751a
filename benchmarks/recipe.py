"""What makes a training accurate: single changes of one recipe, each beside the base with the same seed.

A study file has ``settings`` (the base, as of a trial) and ``changes``: by name, the settings that differ from the
base, or from the change that ``compared_with`` names. Every network is the unpruned one of its space, from fresh
weights. A change is judged by the validation users, in the ranking that selects the epoch: the mean over users of the
difference between its NDCG@10 and that of the network it is compared with, of the same seed, with the standard error of
that difference. Test figures are written beside it and decide nothing. ``kept`` is the decision, for the table.

    python benchmarks/recipe.py benchmarks/settings/recipe-beauty.yml --only base "augmented prefixes" --seeds 0
    python benchmarks/recipe.py benchmarks/settings/recipe-beauty.yml --collect --out benchmarks/results/recipe-beauty

Runs lie under --runs; what is complete there is not done again, and what was cut short goes on. --collect trains
nothing and writes a row for each complete run, and a table in Markdown.
"""

from __future__ import annotations

import argparse
import csv
import logging
import warnings
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import mean
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from easrec_nni.architecture.document import Architecture
from easrec_nni.common.errors import UserError
from easrec_nni.common.files import atomic_write
from easrec_nni.common.markdown import markdown_table
from easrec_nni.common.yaml_files import read_yaml
from easrec_nni.evaluation.metrics import standard_error, user_gains
from easrec_nni.retraining.metrics import read_metrics
from easrec_nni.retraining.stage import retrain
from easrec_nni.settings.trial import TrialSettings
from easrec_nni.training.threads import use_threads

BASE = "base"
FIGURES = ("recall@10_unseen", "ndcg@10_unseen", "recall@10_full", "ndcg@10_full")
HEADINGS = (
    "change",
    "compared with",
    "seeds",
    "valid Recall@10 / NDCG@10",
    "gain in valid NDCG@10",
    "test Recall@10 / NDCG@10",
    "best epoch",
    "seconds",
    "kept",
)


class Change(NamedTuple):
    """Single change.

    Attributes
    ----------
    settings
        Settings that it replaces in the base.
    compared_with
        Name of the change that it is compared with.
    kept
        Decision, for the table.
    """

    settings: dict[str, Any]
    compared_with: str = BASE
    kept: str = ""


def read_study(path: Path) -> tuple[TrialSettings, dict[str, Change]]:
    """Base settings, and the changes by name; a change comes after the one it is compared with."""
    document = read_yaml(path, "study", "see benchmarks/settings/recipe-beauty.yml", "settings: {data: ml-100k}")
    settings = TrialSettings.parse(document["settings"], str(path))
    changes = {BASE: Change({})}
    for name, given in (document.get("changes") or {}).items():
        own = dict(given)
        other, kept = own.pop("compared_with", BASE), own.pop("kept", "")
        if other not in changes:
            raise UserError(f"{path}, {name}: compared_with names {other!r}, which no change before it has")
        changes[name] = Change({**changes[other].settings, **own}, other, kept)
        settings.with_parameters(changes[name].settings)
    return settings, changes


def train(settings: TrialSettings, folder: Path) -> None:
    """Train the unpruned network of the settings' space."""
    dataset = settings.dataset()
    space = settings.space_for(dataset)
    retrain(Architecture(choices=space.largest, space=space), dataset, folder, settings=settings.with_parameters({}))


def row_of(name: str, change: Change, seed: int, folder: Path, gains: NDArray[np.float64] | None) -> dict[str, str]:
    """A complete run: its figures, and its gain on the network that it is compared with."""
    metrics = read_metrics(folder).as_json()
    refitted = metrics.get("test_refitted", {})
    error = None if gains is None else standard_error(gains)
    return {
        "change": name,
        "settings": " ".join(f"{key}={value}" for key, value in change.settings.items()),
        "seed": str(seed),
        **{f"{part}_{figure}": f"{metrics[part][figure]:.5f}" for part in ("valid", "test") for figure in FIGURES},
        **{
            f"test_{figure}_refitted": f"{v:.5f}" if (v := refitted.get(f"{figure}_refitted")) else ""
            for figure in FIGURES
        },
        "ranking": _validation_ranks(folder)[0],
        "gain_valid_ndcg@10": f"{gains.mean():+.5f}" if gains is not None else "",
        "gain_standard_error": f"{error:.5f}" if error is not None else "",
        "best_epoch": str(metrics["training"]["best_epoch"]),
        "epochs": str(metrics["training"]["epochs"]),
        "seconds": f"{metrics['training']['seconds']:.0f}",
        "commit": metrics.get("commit") or "",
        "compared_with": change.compared_with if gains is not None else "",
    }


def paired_gains(folder: Path, base: Path) -> NDArray[np.float64] | None:
    """Differences of the validation users' NDCG@10 ``[users]`` from the base's.

    None without a base, or with one that was selected in another ranking.
    """
    if not (base / "metrics.json").is_file() or base == folder:
        return None
    (ranking, ranks), (base_ranking, base_ranks) = _validation_ranks(folder), _validation_ranks(base)
    if ranking != base_ranking:
        return None
    return user_gains(ranks, "ndcg", 10) - user_gains(base_ranks, "ndcg", 10)


def _validation_ranks(folder: Path) -> tuple[str, NDArray[np.int64]]:
    """Ranking by which trials are compared, and the ranks of the validation targets in it."""
    with np.load(folder / "ranks.npz") as ranks:
        name = next(name for name in ranks.files if name.startswith("valid_"))
        return name.removeprefix("valid_"), np.asarray(ranks[name])


def folder_of(runs: Path, name: str, seed: int) -> Path:
    """Folder of a run."""
    return runs / name.replace(" ", "-").replace("/", "-") / f"seed{seed}"


def collect(runs: Path, changes: dict[str, Change], out: Path) -> None:
    """Write ``runs.csv``, a row for each complete run, and ``table.md``, a row for each change.

    Rows of an earlier ``runs.csv`` whose runs are not below ``runs`` stay.
    """
    rows: list[dict[str, str]] = []
    gains: dict[str, list[NDArray[np.float64]]] = defaultdict(list)
    for name, change in changes.items():
        for folder in sorted(folder_of(runs, name, 0).parent.glob("seed*")):
            if (folder / "metrics.json").is_file():
                seed = int(folder.name.removeprefix("seed"))
                gain = paired_gains(folder, folder_of(runs, change.compared_with, seed))
                rows.append(row_of(name, change, seed, folder, gain))
                gains[name] += [] if gain is None else [gain]
    if not rows:
        raise UserError(f"there is no complete run below {runs}")
    file = out / "runs.csv"
    collected = {(row["change"], row["seed"]) for row in rows}
    rows = [row for row in _read_rows(file) if (row["change"], row["seed"]) not in collected] + rows
    out.mkdir(parents=True, exist_ok=True)
    with atomic_write(file) as temporary, temporary.open("w", newline="", encoding="utf-8") as text:
        writer = csv.DictWriter(text, fieldnames=list(rows[-1]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    pooled = {name: np.stack(of_seeds) for name, of_seeds in gains.items() if of_seeds}
    with atomic_write(out / "table.md") as temporary:
        table = changes_table(rows, pooled, {name: change.kept for name, change in changes.items()})
        temporary.write_text(table + "\n", encoding="utf-8")


def _read_rows(file: Path) -> list[dict[str, str]]:
    if not file.is_file():
        return []
    with file.open(newline="", encoding="utf-8") as text:
        return list(csv.DictReader(text))


def changes_table(
    rows: Sequence[Mapping[str, str]], gains: Mapping[str, NDArray[np.float64]], kept: Mapping[str, str]
) -> str:
    """Table with a row for each change: means over its seeds, in the ranking that selects the epochs.

    Parameters
    ----------
    rows
        Rows of ``runs.csv``, one for each change and seed.
    gains
        Differences of NDCG@10 ``[seeds, users]`` by change; their mean and its standard error over users (of each
        user's mean over seeds) are shown. A change that is missing has the means of its rows.
    kept
        Decisions by change.
    """
    cells = []
    for name in dict.fromkeys(row["change"] for row in rows):
        group = [row for row in rows if row["change"] == name]
        cells.append(
            [
                name,
                next((row["compared_with"] for row in group if row["compared_with"]), ""),
                str(len(group)),
                _accuracy(group, "valid"),
                _gain(group, gains.get(name)),
                _accuracy(group, "test"),
                " ".join(row["best_epoch"] for row in group),
                f"{mean(float(row['seconds']) for row in group):.0f}",
                kept.get(name, ""),
            ]
        )
    right = [heading in ("seeds", "best epoch", "seconds") for heading in HEADINGS]
    return markdown_table(HEADINGS, cells, right)


def _accuracy(group: Sequence[Mapping[str, str]], part: str) -> str:
    figures = (mean(float(row[f"{part}_{name}@10_{row['ranking']}"]) for row in group) for name in ("recall", "ndcg"))
    return " / ".join(f"{figure:.4f}".removeprefix("0") for figure in figures)


def _gain(group: Sequence[Mapping[str, str]], differences: NDArray[np.float64] | None) -> str:
    """Gain ± standard error; with the number of pairs where some seed lacks the network to compare with."""
    pairs = [row for row in group if row["gain_valid_ndcg@10"]]
    if differences is not None:
        gain, error = float(differences.mean()), standard_error(differences)
    elif pairs:
        # Without the ranks: the seeds share their users, so that the mean error is the largest that the mean can have.
        gain = mean(float(row["gain_valid_ndcg@10"]) for row in pairs)
        error = mean(float(row["gain_standard_error"]) for row in pairs)
    else:
        return ""
    text = f"{gain:+.4f} ± {0 if error is None else error:.4f}".replace("-", "−").replace("0.", ".")
    return text if len(pairs) == len(group) else f"{text} ({len(pairs)} of the seeds)"


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
        collect(options.runs, changes, options.out or options.runs)
        return
    use_threads(options.threads)
    for name in options.only or changes:
        for seed in options.seeds:
            logging.info("%s, seed %d", name, seed)
            given = {**changes[name].settings, "seed": seed, **({"retrain.refit": True} if options.refit else {})}
            train(settings.with_parameters(given), folder_of(options.runs, name, seed))


if __name__ == "__main__":
    main()
