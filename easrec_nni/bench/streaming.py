"""An event and the ten best items after it: as a stream's update, and recomputed from the history.

The stream takes one event of each user from the state it has, the recomputation reads the newest N interactions of each
user. They take turns, so that what disturbs one disturbs the other, and every turn starts from the states of histories
of the stated length. Weights are random: what is checked is that both give the same scores, after the longest history.
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
from easrec_nni.bench.tables import number
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
    # Positions from the end, the default of training, cannot be streamed; without positions the network is as large.
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
    """State of one user after a history: what it is, no operation's time depends on."""
    stream.fit_histories(["0"], items, [0, len(items)])
    return stream.states.export()[1]


def _row(
    stream: StreamingRecommender, states: dict[int, dict[str, Tensor]], random: Generator, users: int, repeats: int
) -> Figures:
    """Milliseconds for that many users at once, by the length of their histories and recomputed."""
    names, config, axis = [str(user) for user in range(users)], stream.config, stream.states.SLOT_AXIS
    often, seldom = max(3, 40 // users), max(1, 10 // users)
    ids = torch.from_numpy(random.integers(1, config.n_items + 1, (users, config.max_length)))

    @torch.inference_mode()
    def streamed(length: int) -> float:
        stream.states.replace(
            names, {key: one.repeat_interleave(users, axis[key]) for key, one in states[length].items()}
        )
        events = random.integers(1, config.n_items + 1, (often, users))
        return seconds_of(lambda: [stream.update_and_recommend(names, event, BEST) for event in events]) / often

    @torch.inference_mode()
    def recomputed() -> float:
        return seconds_of(lambda: [top_items(stream.network(ids), BEST) for _ in range(seldom)]) / seldom

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
    """Largest difference of scores from the network that reads the whole history, event by event and in bulk."""
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
    """Milliseconds by users at once and history, and how many times as fast as recomputing at the nearest to N."""
    lines = []
    for name, network in figures.items():
        if not isinstance(network, dict) or "rows" not in network:
            continue
        lengths = list(network["rows"][0]["update_ms"])
        nearest = min(lengths, key=lambda length: abs(int(length) - network["history"]))
        difference = network["largest_difference_of_scores"]
        lines += [
            f"{name}: milliseconds of an event of each user with the {figures['best_items']} best items after it; "
            f"{network['bytes_per_user']:,} bytes a user. After {difference['events']:,} events scores differ by at "
            f"most {max(difference['event_by_event'], difference['in_bulk']):.1e} from the network's.",
            "",
            f"| users at once | {' | '.join(f'after {int(length):,}' for length in lengths)} "
            f"| slope over history | recomputing {network['history']} | times as fast after {int(nearest):,} |",
            f"|---:|{'---:|' * (len(lengths) + 3)}",
        ]
        for row in network["rows"]:
            cells = [number(row["update_ms"][length]["median"]) for length in lengths]
            cells += [
                number(row["slope_over_history"]),
                number(row["recomputing_ms"]["median"]),
                number(row["times_as_fast"][nearest]),
            ]
            lines.append(f"| {row['users_at_once']} | {' | '.join(cells)} |")
        lines.append("")
    return lines[:-1]


MEASUREMENT = Measurement(
    "streaming",
    "an event with the ten best items after it, by the length of the history, in turns with recomputing N",
    _measure,
    _table,
)
