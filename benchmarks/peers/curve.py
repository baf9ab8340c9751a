"""Curves of accuracy over time, one row per epoch, and the comparison of two curves.

Every system is evaluated by the same function on the same split: it writes the scores of all evaluated users and items,
from which our ranking computes the metrics. A system's time is that of training and of scoring the validation users;
what only the measurement needs (writing scores, ranking them, scoring the test users, saving) is not counted.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import numpy as np
import torch

from benchmarks.peers.systems import Contestant
from benchmarks.peers.turns import ask
from easrec_nni.common.errors import UserError
from easrec_nni.common.files import atomic_write, read_json, write_json
from easrec_nni.data.batches.evaluation import EvaluationBatches
from easrec_nni.data.dataset import Dataset
from easrec_nni.evaluation.ranking import Ranker, metrics_of

__all__ = ["PROTOCOLS", "Limits", "compare", "figure_name", "metrics_of_scores", "first_row_at", "record_curve"]

PROTOCOLS = ("full", "pop100", "unseen")


class Limits(NamedTuple):
    """What ends a curve.

    Attributes
    ----------
    epochs
        Maximum number of epochs.
    minutes
        Time limit on the system's own time, in minutes.
    patience
        Epochs without a better validation NDCG@10.
    """

    epochs: int
    minutes: float | None = None
    patience: int | None = None

    def reached(self, rows: Sequence[dict[str, Any]], ranking: str) -> bool:
        """Whether a curve of these rows is complete."""
        if not rows:
            return self.epochs <= 0
        best = max(range(len(rows)), key=lambda place: (rows[place][figure_name("valid", ranking)], -place))
        return (
            len(rows) >= self.epochs
            or (self.minutes is not None and rows[-1]["seconds"] >= 60 * self.minutes)
            or (self.patience is not None and len(rows) - 1 - best >= self.patience)
        )


def figure_name(part: str, ranking: str) -> str:
    """Name of a part's NDCG@10 in the rows of a curve."""
    return f"{part}_ndcg@10_{ranking}"


def metrics_of_scores(scores: Path, dataset: Dataset, part: str) -> dict[str, float]:
    """Metrics of the scores in a file, ``[E, n_items + 1]``, rows as ``dataset.split.part(part)``."""
    table = torch.from_numpy(np.load(scores, mmap_mode="r+"))
    ranker = Ranker(dataset, part, PROTOCOLS)
    for batch in EvaluationBatches(dataset, part, 1, 256):
        ranker.add(table[batch.rows], batch)
    return {f"{part}_{name}": value for name, value in metrics_of(ranker.ranks()).items()}


def record_curve(
    system: Contestant,
    dataset: Dataset,
    work: Path,
    limits: Limits,
    restart: bool = False,
    start: Any = Contestant.start,
) -> dict[str, Any]:
    """Train and evaluate a system epoch by epoch; resumes after the last complete epoch.

    Parameters
    ----------
    system
        System to train.
    dataset
        Dataset to evaluate on.
    work
        Folder of the curve and training state of this system on this dataset.
    limits
        What ends the curve.
    restart
        Whether to start over.
    start
        Function that starts a system; replaced in tests.

    Returns
    -------
    dict
        ``rows``, one per epoch: ``epoch``, ``train_seconds``, ``score_seconds``, ``seconds`` (both, from the start),
        and the metrics; ``ranking`` that suits the dataset, which selects the epoch; ``facts`` of the system.
    """
    file, state = work / "curve.json", work / "state.pt"
    request = {"order": {key: value for key, value in system.order.items() if key not in ("log", "dataset")}}
    ranking = dataset.suited_ranking
    curve = {**request, "ranking": ranking, "rows": []}
    if file.is_file() and not restart:
        curve = read_json(file)
        if curve["order"] != request["order"]:
            raise UserError(f"{work} holds a curve of other settings: choose another --name, or pass --restart")
    rows: list[dict[str, Any]] = curve["rows"]
    if limits.reached(rows, ranking):
        return curve
    worker = start(system)
    try:
        if rows:
            ask(worker, "load", file=str(state.absolute()))
        while not limits.reached(rows, ranking):
            rows.append(_epoch(worker, dataset, rows))
            with atomic_write(state) as temporary:
                ask(worker, "save", file=str(temporary.absolute()))
            write_json(file, {**curve, "facts": worker.facts})
            print(f"{system.name}: " + _line(rows[-1], ranking), flush=True)
        return {**curve, "facts": worker.facts}
    finally:
        worker.close()


def _epoch(worker: Any, dataset: Dataset, rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    train = ask(worker, "epoch")["seconds"]
    metrics: dict[str, float] = {}
    score = 0.0
    with TemporaryDirectory() as folder:
        for part in ("valid", "test"):
            file = Path(folder) / f"{part}.npy"
            seconds = ask(worker, "scores", part=part, file=str(file))["seconds"]
            score = seconds if part == "valid" else score
            metrics |= metrics_of_scores(file, dataset, part)
    before = rows[-1]["seconds"] if rows else 0.0
    return {
        "epoch": len(rows) + 1,
        "train_seconds": train,
        "score_seconds": score,
        "seconds": before + train + score,
        **metrics,
    }


def _line(row: dict[str, Any], ranking: str) -> str:
    valid, test = (row[figure_name(part, ranking)] for part in ("valid", "test"))
    return f"epoch {row['epoch']}, {row['seconds']:.0f} s: NDCG@10 {ranking}, valid {valid:.4f}, test {test:.4f}"


def first_row_at(rows: Sequence[dict[str, Any]], target: float, metric: str) -> dict[str, Any] | None:
    """First row whose metric reaches the target; None if there is none."""
    return next((row for row in rows if row[metric] >= target), None)


def compare(
    ours: Sequence[dict[str, Any]],
    peer: Sequence[dict[str, Any]],
    minutes: float | None = None,
    ranking: str = "full",
) -> dict[str, Any]:
    """Speed-up of our network to a peer's best accuracy, and the best figures of both.

    Parameters
    ----------
    ours, peer
        Rows of the two curves.
    minutes
        Time limit in minutes, on the peer's own time, for its best epoch, which is the target; unlimited by default.
    ranking
        Ranking of the NDCG@10 that is compared.

    Returns
    -------
    dict
        For validation (which selects the peer's epoch) and, where ours has it, for test: the target, the peer's seconds
        to it, ours, and their ratio; None if ours never reaches it. ``best``: figures of both at their best validation
        epoch.
    """
    eligible = [row for row in peer if minutes is None or row["seconds"] <= 60 * minutes] or list(peer[:1])
    monitor = figure_name("valid", ranking)
    best = max(eligible, key=lambda row: row[monitor])
    result: dict[str, Any] = {}
    for part in ("valid", "test"):
        metric = figure_name(part, ranking)
        if metric not in ours[-1]:  # a retraining evaluates the test set once, at its end
            continue
        row_at_target = first_row_at(ours, best[metric], metric)
        seconds = row_at_target["seconds"] if row_at_target else None
        result[part] = {
            "target": best[metric],
            "peer_seconds": best["seconds"],
            "our_seconds": seconds,
            "times_as_fast": best["seconds"] / seconds if seconds else None,
        }
    our_best = max(ours, key=lambda row: row[monitor])
    result["best"] = {
        name: {"seconds": row["seconds"], **{key: row[key] for key in row if "ndcg" in key}}
        for name, row in (("ours", our_best), ("peer", best))
    }
    return result
