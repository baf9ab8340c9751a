"""Training time of the largest network until it reaches a target NDCG@10."""

from __future__ import annotations

import time

from easrec_nni.bench.epochs import Training
from easrec_nni.bench.measurement import Bench, Figures, Measurement
from easrec_nni.evaluation.scoring import evaluate
from easrec_nni.evaluation.selection import MONITOR

__all__ = ["MEASUREMENT"]


def _measure(bench: Bench) -> Figures:
    """Curve of seconds and NDCG@10, up to the target, early stopping, or the settings' epochs."""
    options = bench.settings.retrain
    training = Training(bench.network(bench.space.largest), bench.context)
    epochs = 1 if bench.request.quick else options.epochs
    curve: list[dict[str, float]] = []
    seconds = 0.0
    while len(curve) < epochs:
        begin = time.perf_counter()
        training.epoch(bench.batches if bench.request.quick else None)
        score = evaluate(training.network, bench.dataset, "valid", protocols=("full",))[MONITOR]
        seconds += time.perf_counter() - begin
        curve.append({"seconds": seconds, f"valid_{MONITOR}": score})
        scores = [row[f"valid_{MONITOR}"] for row in curve]
        out_of_patience = len(scores) - 1 - scores.index(max(scores)) >= options.patience
        if out_of_patience or (bench.request.target is not None and score >= bench.request.target):
            break
    target = bench.request.target
    reached = [row["seconds"] for row in curve if target is not None and row[f"valid_{MONITOR}"] >= target]
    return {
        "target": target,
        "seconds_to_target": reached[0] if reached else None,
        f"best_valid_{MONITOR}": max(scores),
        "curve": curve,
    }


MEASUREMENT = Measurement(
    "time-to-ndcg", "training and validation of the largest network until it reaches --target", _measure
)
