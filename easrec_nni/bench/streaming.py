"""A new event and the ten best items after it: as a stream's update, and by reading the history anew."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence

import torch
from torch import Tensor

from easrec_nni.bench.measurement import Bench, Figures, Measurement
from easrec_nni.bench.repeats import ratio, spread
from easrec_nni.bench.scaling import fitted_slope
from easrec_nni.evaluation.top_k import top_items
from easrec_nni.serving import StreamingRecommender
from search_spaces import Choice, EASRecNetwork

__all__ = ["MEASUREMENT"]

EVENTS = (10, 100, 200, 1_000, 10_000)  # behind the user when the timed ones arrive
QUICK_EVENTS = (4, 8)
TIMED = 50  # events of a repeat, the median of which counts
BEST = 10


def _measure(bench: Bench) -> Figures:
    events = QUICK_EVENTS if bench.request.quick else EVENTS
    return {"best_items": BEST, **{name: _network(bench, choice, events) for name, choice in bench.choices.items()}}


def _network(bench: Bench, choice: Choice, events: Sequence[int]) -> Figures:
    """Seconds of an update by the number of events before it, and against recomputing at a history of N."""
    # Positions from the end, the default of training, cannot be streamed; without positions the network is as large.
    space = bench.space.model_copy(update={"positions": "none"})
    network = EASRecNetwork(space.compact(choice)).eval()
    stream, history = StreamingRecommender(network), bench.space.max_length
    items = torch.randint(1, space.n_items + 1, (max(*events, history) + 1,))
    points: list[Figures] = []
    for count in events:
        stream.fit_histories([str(count)], items[:count].numpy(), [0, count])
        points.append({"events": count, "update_seconds": spread(_updates(bench, stream, str(count)))})
    stream.fit_histories(["beside"], items[:history].numpy(), [0, history])
    updates, recomputed = [], []
    for _ in range(bench.repeats + 1):
        updates += _updates(bench, stream, "beside", 1)
        recomputed.append(_recomputing(network, items[None, :history]))
    return {
        "points": points,
        "slope_over_events": fitted_slope([(each["events"], each["update_seconds"]["median"]) for each in points]),
        "history": history,
        "recomputing_seconds": spread(recomputed[1:]),
        "update_seconds": spread(updates[1:]),
        "times_as_fast_as_recomputing": ratio(recomputed[1:], updates[1:]),
        "bytes_per_user": stream.bytes_per_user,
    }


def _updates(bench: Bench, stream: StreamingRecommender, user: str, repeats: int | None = None) -> list[float]:
    """Median seconds of an event with its recommendation, of each repeat."""
    timed = 3 if bench.request.quick else TIMED
    return [statistics.median(_update(stream, user) for _ in range(timed)) for _ in range(repeats or bench.repeats)]


def _update(stream: StreamingRecommender, user: str) -> float:
    begin = time.perf_counter()
    stream.update_and_recommend([user], [1], k=BEST)
    return time.perf_counter() - begin


@torch.inference_mode()
def _recomputing(network: EASRecNetwork, ids: Tensor) -> float:
    """Median seconds of scores and best items from the whole history."""
    seconds = []
    for _ in range(5):
        begin = time.perf_counter()
        top_items(network(ids), BEST)
        seconds.append(time.perf_counter() - begin)
    return statistics.median(seconds)


MEASUREMENT = Measurement(
    "streaming", "an event with the ten best items after it, and against reading a history of N anew", _measure
)
