"""Time of an event and the top ten after it: streaming update against full recomputation.

The stream updates its state by one event per user; the recomputation reads the newest N interactions of each user. They
are measured in alternation, so that other load affects both, and every turn starts from the states of histories of the
stated length. Weights are random: the check is that both give the same scores after the longest history.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.random import Generator
from numpy.typing import NDArray
from torch import Tensor

from easrec_nni.bench.measurement import Bench, Figures, Measurement
from easrec_nni.bench.repeats import in_turns, ratio, seconds_of, spread
from easrec_nni.bench.scaling import fitted_slope
from easrec_nni.bench.tables import format_figure
from easrec_nni.common.markdown import markdown_table
from easrec_nni.evaluation.top_k import top_items
from easrec_nni.serving import StreamingRecommender
from easrec_nni.serving.streamable import without_window
from search_spaces import Choice, EASRecNetwork

__all__ = ["MEASUREMENT"]

HISTORIES, QUICK_HISTORIES = (50, 100, 200, 400, 1000, 2000, 5000, 10_000), (4, 8)
USERS, QUICK_USERS = (1, 8, 64, 256), (1, 3)
BEST = 10


def _measure(bench: Bench) -> Figures:
    return {"best_items": BEST, **{name: _network(bench, choice) for name, choice in bench.choices.items()}}


def _network(bench: Bench, choice: Choice) -> Figures:
    # Positions counted from the end (the default) cannot be streamed; without them the network has the same size.
    space = bench.space.model_copy(update={"positions": "none"})
    network = EASRecNetwork(space.compact(choice)).eval()
    histories, users = (QUICK_HISTORIES, QUICK_USERS) if bench.request.quick else (HISTORIES, USERS)
    stream, random = StreamingRecommender(network), np.random.default_rng(bench.settings.seed)
    items = random.integers(1, space.n_items + 1, max(*histories, space.max_length))
    states = {length: _state_after(stream, items[:length]) for length in histories}
    return {
        "history": space.max_length,
        "bytes_per_user": stream.bytes_per_user,
        "rows": [_row(stream, states, random, count, bench.repeats) for count in users],
        "largest_difference_of_scores": _differences(network, items),
    }


@torch.inference_mode()
def _state_after(stream: StreamingRecommender, items: NDArray[Any]) -> dict[str, Tensor]:
    """State of one user after a history; no operation's time depends on its values."""
    stream.fit_histories(["0"], items, [0, len(items)])
    return stream.states.export()[1]


def _row(
    stream: StreamingRecommender, states: dict[int, dict[str, Tensor]], random: Generator, users: int, repeats: int
) -> Figures:
    """Milliseconds of a batch of users, by length of their histories and recomputed."""
    names, config, axis = [str(user) for user in range(users)], stream.config, stream.states.SLOT_AXIS
    updates, passes = max(3, 40 // users), max(1, 10 // users)
    ids = torch.from_numpy(random.integers(1, config.n_items + 1, (users, config.max_length)))

    @torch.inference_mode()
    def streamed(length: int) -> float:
        stream.states.replace(
            names, {key: value.repeat_interleave(users, axis[key]) for key, value in states[length].items()}
        )
        events = random.integers(1, config.n_items + 1, (updates, users))
        return seconds_of(lambda: [stream.update_and_recommend(names, event, BEST) for event in events]) / updates

    @torch.inference_mode()
    def recomputed() -> float:
        return seconds_of(lambda: [top_items(stream.network(ids), BEST) for _ in range(passes)]) / passes

    turns = in_turns({length: partial(streamed, length) for length in states} | {0: recomputed}, repeats)
    milliseconds = {length: [1000 * value for value in seconds] for length, seconds in turns.items()}
    whole = milliseconds.pop(0)
    times = {length: spread(values) for length, values in milliseconds.items()}
    return {
        "users_at_once": users,
        "update_ms": {str(length): value for length, value in times.items()},
        "recomputing_ms": spread(whole),
        "times_as_fast": {str(length): ratio(whole, values) for length, values in milliseconds.items()},
        "slope_over_history": fitted_slope([(length, value["median"]) for length, value in times.items()]),
    }


@torch.inference_mode()
def _differences(network: EASRecNetwork, items: NDArray[Any]) -> Figures:
    """Largest difference between streamed scores and those of the whole history."""
    streamed, fitted = StreamingRecommender(network), StreamingRecommender(network)
    for item in items:
        streamed.update("user", item)
    fitted.fit_histories(["user"], items, [0, len(items)])
    expected = without_window(network, len(items))(torch.from_numpy(items)[None])[0].numpy()
    figures: Figures = {"events": len(items)}
    for name, stream in (("event_by_event", streamed), ("in_bulk", fitted)):
        best = stream.recommend("user", network.config.n_items)
        figures[name] = float(np.abs(best.scores[0] - expected[best.items[0]]).max())
    return figures


def _table(figures: Figures) -> list[str]:
    """Markdown table: milliseconds by number of users and history, and speed-up at the length nearest N."""
    lines = []
    for name, network in figures.items():
        if not isinstance(network, dict) or "rows" not in network:
            continue
        lengths = list(network["rows"][0]["update_ms"])
        nearest = min(lengths, key=lambda length: abs(int(length) - network["history"]))
        difference = network["largest_difference_of_scores"]
        headings = [
            "users at once",
            *(f"after {int(length):,}" for length in lengths),
            "slope over history",
            f"recomputing {network['history']}",
            f"times as fast after {int(nearest):,}",
        ]
        rows = [
            [
                str(row["users_at_once"]),
                *(format_figure(row["update_ms"][length]["median"]) for length in lengths),
                format_figure(row["slope_over_history"]),
                format_figure(row["recomputing_ms"]["median"]),
                format_figure(row["times_as_fast"][nearest]),
            ]
            for row in network["rows"]
        ]
        lines += [
            f"{name}: milliseconds of an event of each user with the {figures['best_items']} best items after it; "
            f"{network['bytes_per_user']:,} bytes a user. After {difference['events']:,} events scores differ by at "
            f"most {max(difference['event_by_event'], difference['in_bulk']):.1e} from the network's.",
            "",
            *markdown_table(headings, rows, right=[True] * len(headings)).splitlines(),
            "",
        ]
    return lines[:-1]


MEASUREMENT = Measurement(
    "streaming",
    "an event and the ten best items after it, by length of the history, in alternation with recomputation from N",
    _measure,
    _table,
)
