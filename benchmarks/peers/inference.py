"""Time and memory to score all test users, for peers and our networks."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from benchmarks.peers.systems import Contestant, Shape, ours, recbole, rectools
from benchmarks.peers.turns import Worker, ask, print_ratios, ratios, summary, take_turns
from easrec_nni.common.errors import UserError
from easrec_nni.common.files import read_json
from easrec_nni.data.dataset import Dataset
from search_spaces import Choice

__all__ = ["OURS", "contestants", "measure_inference", "read_choice"]

# Batch sizes of a tuned peer, tried during warm-up; the fastest is measured. None is larger: with allocator "keep",
# RecBole's SASRec took more than 24 GB for batches of 2,048 at N = 200, and activations exceed the caches anyway.
TUNED_BATCHES = (64, 128, 256, 512)

OURS = ("unpruned LinRec", "unpruned LinRec with gates", "softmax", "searched")
"""Our networks."""


def read_choice(file: Path | None) -> Choice:
    """Choices of an architecture's JSON file, or of a result that has one in ``architecture``.

    Without a file: half of the inner width D, at depth 2.

    Raises
    ------
    UserError
        The file has no architecture.
    """
    if file is None:
        return Choice(hidden_pruning=0.0, inner_pruning=0.5, depth=2)
    try:
        document = read_json(file)
        return Choice.model_validate(document.get("architecture", document)["choices"])
    except (OSError, ValueError, KeyError, AttributeError, TypeError):
        raise UserError(f"{file} holds no architecture: give a file of `easrec export` or `easrec retrain`") from None


def contestants(
    options: argparse.Namespace, dataset: Dataset, log: Path, shape: Shape, choice: Choice
) -> list[Contestant]:
    """All systems to compare; each of our networks with each of the requested allocators."""
    threads = options.threads
    peers = [recbole(model, variant, log, shape, threads) for model in options.models for variant in options.variants]
    if options.rectools:
        peers += [rectools(variant, log, shape, threads) for variant in options.variants]
    largest = {"hidden_pruning": 0.0, "inner_pruning": 0.0, "depth": shape.layers}
    candidates = sorted({0.0, choice.hidden_pruning}), sorted({0.0, choice.inner_pruning})
    open_space = {"min_depth": 1, "hidden_pruning": candidates[0], "inner_pruning": candidates[1]}
    networks: tuple[tuple[dict[str, Any], dict[str, Any]], ...] = (
        (shape.of_ours(gate_layers=0), largest),
        (shape.of_ours(), largest),
        (shape.of_ours(gate_layers=0, attention="softmax"), largest),
        (shape.of_ours(**open_space), choice.model_dump()),
    )
    return peers + [
        ours(f"{name}{', compiled' * compiled}", allocator, dataset.path, space, choices, threads, compiled=compiled)
        for name, (space, choices) in zip(OURS, networks, strict=True)
        for allocator in options.allocators
        for compiled in (False, True)
        if not compiled or name in options.compiled
    ]


def measure_inference(
    systems: Sequence[Contestant], batch: int, repeats: int, start: Any = Contestant.start
) -> dict[str, Any]:
    """Measure systems in alternation.

    Parameters
    ----------
    systems
        Peers and our networks.
    batch
        Batch size of a peer as shipped, in users; a tuned peer takes the fastest of ``TUNED_BATCHES``, ours the
        default.
    repeats
        Number of turns, after a warm-up.
    start
        Function that starts a system; replaced in tests.

    Returns
    -------
    dict
        Rows by system, and ratios by pair.
    """
    with ExitStack() as stack:
        workers: dict[str, Worker] = {}
        for system in systems:
            workers[system.name] = start(system)
            stack.callback(workers[system.name].close)
        warm_ups = {name: _warm_up(name, worker, batch) for name, worker in workers.items()}
        batches = {name: min(seconds, key=lambda size: seconds[size]) for name, seconds in warm_ups.items()}
        seconds = take_turns(workers, lambda name, worker: _pass(worker, batches[name]), repeats)
        rows = {
            name: summary(seconds[name], worker)
            | {"batch": batches[name] or "its own", "warm_up_seconds_by_batch": _named(warm_ups[name])}
            for name, worker in workers.items()
        }
    pairs = ratios(seconds, _is_ours)
    print_ratios(pairs)
    return {
        "measurement": "seconds to score all test users, histories ready in memory; weights are random",
        "repeats": repeats,
        "rows": rows,
        "ratios": pairs,
    }


def _is_ours(name: str) -> bool:
    return name.startswith("ours")


def _pass(worker: Worker, batch: int | None) -> float:
    return float(ask(worker, "pass", batch=batch)["seconds"])


def _warm_up(name: str, worker: Worker, batch: int) -> dict[int | None, float]:
    """Seconds of a warm-up pass by batch size: the second pass, or the first of a peer as shipped.

    A tuned peer's peak memory is that of the largest batch tried, whichever is then measured.
    """
    if _is_ours(name):
        _pass(worker, None)
        return {None: _pass(worker, None)}
    if name.endswith("shipped"):
        return {batch: _pass(worker, batch)}
    # Largest last: with the allocator "keep", the heap would otherwise hold its blocks from the start.
    return {size: [_pass(worker, size) for _ in range(2)][-1] for size in TUNED_BATCHES}


def _named(seconds: dict[int | None, float]) -> dict[str, float]:
    return {str(size or "its own"): value for size, value in seconds.items()}
