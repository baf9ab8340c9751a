"""How long a full evaluation of the test set takes: scores, ranks, metrics."""

from __future__ import annotations

import time
from functools import partial

from easrec_nni.bench.measurement import Bench, Figures, Measurement
from easrec_nni.bench.repeats import repeated, spread
from easrec_nni.data.dataset import Dataset
from easrec_nni.evaluation.scoring import evaluate_fully
from search_spaces import EASRecSpace

__all__ = ["MEASUREMENT"]


def _measure(bench: Bench) -> Figures:
    figures: Figures = {"users": bench.dataset.split.test.n_users, "protocols": ["full", "pop100"]}
    for name, choice in bench.choices.items():
        once = partial(_seconds, bench.network(choice).eval(), bench.dataset)
        figures[name] = {"seconds": spread(repeated(once, bench.repeats))}
    return figures


def _seconds(network: EASRecSpace, dataset: Dataset) -> float:
    begin = time.perf_counter()
    evaluate_fully(network, dataset, "test")
    return time.perf_counter() - begin


MEASUREMENT = Measurement("evaluation", "scores, ranks and metrics of all test users", _measure)
