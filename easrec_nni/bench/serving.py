"""How long a user waits for scores, in batches of 1, 64 and 2,048 users."""

from __future__ import annotations

import statistics

from easrec_nni.architecture.cost import architecture_cost
from easrec_nni.bench.measurement import Bench, Figures, Measurement
from easrec_nni.bench.repeats import repeated, spread
from easrec_nni.evaluation.inference import ScoringTimer
from search_spaces import EASRecSpace

__all__ = ["MEASUREMENT"]

BATCHES = (64, 2048)
SINGLE_USERS = 200


def _measure(bench: Bench) -> Figures:
    length, figures = bench.space.max_length, Figures()
    singles = 5 if bench.request.quick else SINGLE_USERS
    timers = {size: ScoringTimer(bench.dataset, length, single_users=0, batch_size=size) for size in BATCHES}
    one_by_one = ScoringTimer(bench.dataset, length, single_users=singles)
    for name, choice in bench.choices.items():
        network, cost = bench.network(choice).eval(), architecture_cost(bench.space, choice)
        figures[name] = {
            "ms_per_user_batch1": spread(_latencies(one_by_one, network, bench.repeats)),
            **{f"ms_per_user_batch{size}": spread(_per_user(timers[size], network, bench.repeats)) for size in BATCHES},
            "executed_madds_per_user": cost.executed_madds_per_user,
            "madds_per_user": cost.madds_per_user,
            "parameters": cost.parameters,
        }
    return figures | {"users": bench.dataset.split.test.n_users, "single_users": len(one_by_one.singles)}


def _latencies(timer: ScoringTimer, network: EASRecSpace, repeats: int) -> list[float]:
    """Milliseconds of each repeat's median user."""
    return repeated(lambda: statistics.median(timer.latencies_ms(network)), repeats)


def _per_user(timer: ScoringTimer, network: EASRecSpace, repeats: int) -> list[float]:
    """Milliseconds a user of each pass over all of them."""
    return [1000 * value / timer.users for value in repeated(lambda: timer.pass_seconds(network), repeats)]


MEASUREMENT = Measurement("inference", "milliseconds per test user at batch 1, 64 and 2048", _measure)
