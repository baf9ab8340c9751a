"""Time of a full evaluation of the test set: scores, ranks, metrics."""

from __future__ import annotations

from functools import partial

from easrec_nni.bench.measurement import Bench, Figures, Measurement
from easrec_nni.bench.repeats import in_turns, seconds_of, spread
from easrec_nni.evaluation.ranking import PROTOCOLS
from easrec_nni.evaluation.scoring import evaluate_fully

__all__ = ["MEASUREMENT"]


def _measure(bench: Bench) -> Figures:
    evaluations = {
        name: partial(seconds_of, partial(evaluate_fully, network, bench.dataset, "test"))
        for name, network in bench.networks.items()
    }
    return {
        "users": bench.dataset.split.test.n_users,
        "items": bench.dataset.n_items,
        "protocols": list(PROTOCOLS),
        **{name: {"seconds": spread(seconds)} for name, seconds in in_turns(evaluations, bench.repeats).items()},
    }


MEASUREMENT = Measurement("evaluation", "scores, ranks and metrics of all test users", _measure)
