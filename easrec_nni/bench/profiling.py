"""Forward pass at batch 2,048 over full histories: share of the matmul peak, and a profile."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from torch import Tensor
from torch.profiler import ProfilerActivity, profile

from easrec_nni.architecture.cost import architecture_cost
from easrec_nni.bench.matmul import matmul_peak
from easrec_nni.bench.measurement import Bench, Figures, Measurement
from easrec_nni.bench.repeats import repeated, seconds_of, spread

__all__ = ["MEASUREMENT", "largest_allocation", "operator_shares"]

BATCH, QUICK_BATCH = 2048, 16
MOST_OPERATORS = 15


def operator_shares(work: Callable[[], object]) -> list[dict[str, float | str | int]]:
    """Share of self time of each operator on one thread, largest first; the rest as ``others``.

    One thread, because the profiler only records operators of the calling thread, and inference would use others.

    Parameters
    ----------
    work
        Function to profile.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with profile(activities=[ProfilerActivity.CPU]) as profiled:
            work()
    finally:
        torch.set_num_threads(threads)
    events = sorted(profiled.key_averages(), key=lambda event: -event.self_cpu_time_total)
    total = sum(event.self_cpu_time_total for event in events)
    rows: list[dict[str, float | str | int]] = [
        {"operator": event.key, "share": event.self_cpu_time_total / total, "calls": event.count}
        for event in events[:MOST_OPERATORS]
    ]
    rest = events[MOST_OPERATORS:]
    if rest:
        share = sum(event.self_cpu_time_total for event in rest) / total
        rows.append({"operator": "others", "share": share, "calls": sum(event.count for event in rest)})
    return rows


def largest_allocation(work: Callable[[], object]) -> int:
    """Peak number of bytes that torch has allocated during some work, relative to its start.

    Parameters
    ----------
    work
        Function to profile.
    """
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiled:
        work()
    changes = [
        (event.start_ns(), event.nbytes())
        for event in profiled.profiler.kineto_results.events()
        if event.name() == "[memory]"
    ]
    return int(np.cumsum([change for _, change in sorted(changes, key=lambda change: change[0])]).max())


@torch.no_grad()
def _measure(bench: Bench) -> Figures:
    users = QUICK_BATCH if bench.request.quick else BATCH
    ids = torch.randint(1, bench.dataset.n_items + 1, (users, bench.space.max_length))  # [B, N]
    peak = matmul_peak(bench.request.quick)["peak"]
    figures: Figures = {"users": users, "history": bench.space.max_length, "matmul_madds_per_second": peak}
    for (name, choice), network in zip(bench.choices.items(), bench.networks.values(), strict=True):
        cost = architecture_cost(bench.space, choice)
        every_position = cost.madds_per_user - cost.scoring_madds_per_user
        ways: dict[str, tuple[Callable[[Tensor], object], int]] = {
            "scores": (network, cost.executed_madds_per_user),
            "states_of_all_positions": (network.states, every_position),
        }
        figures[name] = {way: _pass(bench, call, ids, madds, peak) for way, (call, madds) in ways.items()}
        figures[name]["operators"] = operator_shares(partial(network, ids))
    return figures


def _pass(bench: Bench, call: Callable[[Tensor], object], ids: Tensor, madds_per_user: int, peak: float) -> Figures:
    seconds = repeated(lambda: seconds_of(lambda: call(ids)), bench.repeats)
    rates = [madds_per_user * len(ids) / value for value in seconds]
    return {
        "seconds": spread(seconds),
        "madds_per_user": madds_per_user,
        "madds_per_second": spread(rates),
        "share_of_matmul_peak": spread([rate / peak for rate in rates]),
    }


MEASUREMENT = Measurement(
    "forward",
    "the forward pass at batch 2048 over full histories: share of the matmul peak, and a profile on one thread",
    _measure,
)
