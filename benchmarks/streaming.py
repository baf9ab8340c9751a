"""Streaming against recomputation: an event and the ten best items after it, by the length of the history.

    python benchmarks/streaming.py --out benchmarks/results/streaming.json

Both do the same work at MovieLens-1M's catalogue and the paper's shape (3,416 items, d = 128, inner 256, 4 layers, 4
heads, LinRec): the stream takes one event of each user from the state it has, the recomputation reads the newest 200
interactions of each user anew. They take turns, so that what disturbs one disturbs the other. Weights are random:
accuracy is not what is measured; that both give the same scores is checked in the same run, also after 10,000 events.

At the beginning of each turn the users' states are those of a history of the stated length.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from easrec_nni.bench.machine import circumstances, load_average
from easrec_nni.bench.repeats import ratio, spread
from easrec_nni.common.files import write_json
from easrec_nni.evaluation.top_k import top_items
from easrec_nni.serving import StreamingRecommender
from easrec_nni.serving.streamable import without_window
from easrec_nni.training.threads import use_threads
from easrec_nni.training.trainer import seed_everything
from search_spaces import EASRecSpace, SpaceConfig

HISTORIES = (50, 100, 200, 400, 1000, 2000, 5000, 10_000)
RECOMPUTED = 200  # interactions that a recomputation looks back on
K = 10
Figures = dict[str, Any]


def timed(calls: Sequence[Callable[[], object]]) -> float:
    """Milliseconds of a call, on average."""
    begin = time.perf_counter()
    for call in calls:
        call()
    return 1000 * (time.perf_counter() - begin) / len(calls)


def make_network(options: argparse.Namespace) -> EASRecSpace:
    config = SpaceConfig(
        n_items=options.items,
        max_length=RECOMPUTED,
        hidden=options.hidden,
        inner=2 * options.hidden,
        heads=4,
        layers=options.layers,
        min_depth=options.layers,
        hidden_pruning=(0.0,),
        inner_pruning=(0.0,),
        positions="none",
        gate_layers=options.gate_layers,
    )
    return EASRecSpace(config).eval()


class Turns:
    """Streams at every length of history, and a recomputation, that take turns for a number of users."""

    def __init__(self, network: EASRecSpace, users: int, precision: Any, seed: int) -> None:
        self.network, self.users = network, users
        self.random = np.random.default_rng(seed)
        self.names = [str(user) for user in range(users)]
        self.stream = StreamingRecommender(network, precision=precision)
        self.begun = {length: self._state_after(length) for length in HISTORIES}
        self.ids = torch.from_numpy(self._items((users, RECOMPUTED)))

    def _items(self, shape: int | tuple[int, ...]) -> Any:
        return self.random.integers(1, self.network.config.n_items + 1, shape)

    @torch.inference_mode()
    def _state_after(self, length: int) -> dict[str, torch.Tensor]:
        """The state of one history of that length, for all users: what it is, no operation's time depends on."""
        self.stream.fit_histories(["0"], self._items(length), [0, length])
        states = self.stream.states
        one = states.taken()[1]
        return {name: tensor.repeat_interleave(self.users, states.SLOT_AXIS[name]) for name, tensor in one.items()}

    @torch.inference_mode()
    def streamed(self, length: int, times: int) -> float:
        """Milliseconds of an event of each user and its items, from states of that length of history."""
        self.stream.states.replace(self.names, {name: tensor.clone() for name, tensor in self.begun[length].items()})
        events = [self._items(self.users) for _ in range(times)]
        return timed([lambda own=own: self.stream.update_and_recommend(self.names, own, K) for own in events])

    @torch.inference_mode()
    def recompute(self, times: int) -> float:
        """Milliseconds of the same from the newest interactions of each user."""
        return timed([lambda: top_items(self.network(self.ids), K)] * times)


def measure(turns: Turns, options: argparse.Namespace) -> Figures:
    """Times of a number of users, each length and the recomputation in turns."""
    often, seldom = max(3, 40 // turns.users), max(1, 10 // turns.users)
    streams: dict[int, list[float]] = {length: [] for length in HISTORIES}
    recomputed: list[float] = []
    for turn in range(options.turns + 1):
        times = {length: turns.streamed(length, often) for length in HISTORIES}
        whole = turns.recompute(seldom)
        if turn:  # the first one is the warm-up
            recomputed.append(whole)
            for length, value in times.items():
                streams[length].append(value)
    medians = [statistics.median(streams[length]) for length in HISTORIES]
    slope = float(np.polyfit(np.log(HISTORIES), np.log(medians), 1)[0])
    return {
        "users_at_once": turns.users,
        "update_and_top_ms": {str(length): spread(values) for length, values in streams.items()},
        f"recompute_{RECOMPUTED}_and_top_ms": spread(recomputed),
        f"times_as_fast_at_{RECOMPUTED}": ratio(recomputed, streams[RECOMPUTED]),
        "slope_log_time_log_history": slope,
        "bytes_per_user": turns.stream.bytes_per_user,
    }


@torch.inference_mode()
def differences(network: EASRecSpace, precision: Any) -> dict[str, float]:
    """Largest difference of scores from the network that reads the whole history, event by event and in bulk."""
    events = HISTORIES[-1]
    items = np.random.default_rng(1).integers(1, network.config.n_items + 1, events)
    streamed, fitted = (StreamingRecommender(network, precision=precision) for _ in range(2))
    for item in items:
        streamed.update("user", item)
    fitted.fit_histories(["user"], items, [0, events])
    expected = without_window(network, events)(torch.from_numpy(items)[None])[0].numpy()
    result = {"events": float(events)}
    for name, stream in (("event_by_event", streamed), ("in_bulk", fitted)):
        best = stream.recommend("user", network.config.n_items)
        result[name] = float(np.abs(best.scores[0] - expected[best.items[0]]).max())
    return result


def options_of(words: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="JSON file to write")
    parser.add_argument("--users", type=int, nargs="+", default=[1, 8, 64, 256], help="users at once")
    parser.add_argument("--turns", type=int, default=9)
    parser.add_argument("--items", type=int, default=3416)
    parser.add_argument("--hidden", type=int, default=128)
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--gate-layers", type=int, default=2)
    parser.add_argument("--precision", choices=["double", "single"], default="double")
    parser.add_argument("--threads", type=int, default=int(os.environ.get("OMP_NUM_THREADS", 1)))
    return parser.parse_args(words)


def run(options: argparse.Namespace) -> Figures:
    """Everything that is written."""
    use_threads(options.threads)
    seed_everything(0)
    network, before = make_network(options), load_average()
    rows = [measure(Turns(network, users, options.precision, seed=0), options) for users in options.users]
    return {
        "schema_version": 1,
        "network": {name: getattr(network.config, name) for name in ("n_items", "hidden", "inner", "layers", "heads")},
        "gate_layers": options.gate_layers,
        "precision": options.precision,
        "k": K,
        "threads": options.threads,
        "order": "in turns, one at a time",
        "rows": rows,
        "largest_difference_of_scores": differences(network, options.precision),
        **circumstances(before),
    }


def main() -> None:
    """Measure and write the JSON file."""
    options = options_of()
    warnings.filterwarnings("ignore")
    document = run(options)
    for row in document["rows"]:
        times = row[f"times_as_fast_at_{RECOMPUTED}"]
        print(
            f"{row['users_at_once']} at once: {row['update_and_top_ms'][str(RECOMPUTED)]['median']:.3f} ms, "
            f"{times['median']:.0f} times as fast ({times['min']:.0f} to {times['max']:.0f}), "
            f"slope {row['slope_log_time_log_history']:.3f}"
        )
    write_json(options.out, document)


if __name__ == "__main__":
    main()
