"""Scoring time per user in batches of 1, 64 and 2,048 users."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from easrec_nni.architecture.cost import architecture_cost
from easrec_nni.bench.measurement import Bench, Figures, Measurement
from easrec_nni.bench.repeats import in_turns, spread
from easrec_nni.data.dataset import Dataset
from easrec_nni.evaluation.inference import ScoringTimer

__all__ = ["MEASUREMENT", "scoring_ms"]

BATCHES = (64, 2048)
SINGLE_USERS, QUICK_SINGLE_USERS = 200, 5


def scoring_ms(
    networks: Mapping[str, Any], dataset: Dataset, length: int, bench: Bench, batches: Sequence[int]
) -> dict[str, Figures]:
    """Milliseconds per test user of networks, one by one without padding and in batches.

    The networks are measured in alternation.

    Parameters
    ----------
    networks
        Networks by name, which map item ids ``[B, T]`` to scores.
    dataset
        Dataset whose test users are scored.
    length
        Context length N: newest interactions of each user that are read.
    bench
        Bench that holds the number of repeats.
    batches
        Batch sizes, in users.

    Returns
    -------
    dict
        ``ms_per_user_batch1`` (of each turn's median user) and ``ms_per_user_batch…``, by network.
    """
    one_by_one = ScoringTimer(dataset, length, single_users=_single_users(bench))
    timers = [ScoringTimer(dataset, length, single_users=0, batch_size=size) for size in batches]
    measures = {}
    for name, network in networks.items():
        measures[name, 1] = partial(_median_latency_ms, one_by_one, network)
        for timer in timers:
            measures[name, timer.batch_size] = partial(_pass_ms, timer, network)
    figures: dict[str, Figures] = {name: {} for name in networks}
    for (name, size), values in in_turns(measures, bench.repeats).items():
        figures[name][f"ms_per_user_batch{size}"] = spread(values)
    return figures


def _single_users(bench: Bench) -> int:
    return QUICK_SINGLE_USERS if bench.request.quick else SINGLE_USERS


def _median_latency_ms(timer: ScoringTimer, network: Any) -> float:
    return statistics.median(timer.latencies_ms(network))


def _pass_ms(timer: ScoringTimer, network: Any) -> float:
    return 1000 * timer.pass_seconds(network) / timer.users


def _measure(bench: Bench) -> Figures:
    users = bench.dataset.split.test.n_users
    times = scoring_ms(bench.networks, bench.dataset, bench.space.max_length, bench, BATCHES)
    figures: Figures = {}
    for name, choice in bench.choices.items():
        cost = architecture_cost(bench.space, choice).as_dict()
        counted = {key: cost[key] for key in ("executed_madds_per_user", "madds_per_user", "parameters")}
        figures[name] = times[name] | counted
    return figures | {"users": users, "single_users": min(users, _single_users(bench))}


MEASUREMENT = Measurement("inference", "milliseconds per test user at batch 1, 64 and 2048", _measure)
