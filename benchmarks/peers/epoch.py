"""Time of one training epoch, for peers and our networks."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.peers.systems import Contestant, Shape, ours, recbole, rectools
from benchmarks.peers.turns import Worker, ask, print_ratios, ratios, summary, take_turns
from easrec_nni.data.dataset import Dataset

__all__ = ["against_recbole", "against_rectools", "measure_epochs"]


def against_recbole(options: argparse.Namespace, dataset: Dataset, log: Path, shape: Shape) -> list[Contestant]:
    """RecBole, and our networks of the same shape on whole histories, since it trains on every prefix."""
    threads = options.threads
    peers = [
        recbole(model, variant, log, shape, threads, options.batch)
        for model in options.models
        for variant in options.variants
    ]
    networks = {
        "LinRec": shape.of_ours(gate_layers=0),
        "LinRec with gates": shape.of_ours(),
        "softmax": shape.of_ours(gate_layers=0, attention="softmax"),
    }
    return peers + _ours(options, networks, shape, dataset, {"history": "all"})


def against_rectools(options: argparse.Namespace, dataset: Dataset, log: Path, shape: Shape) -> list[Contestant]:
    """RecTools, and our networks of its shape and loss: newest N items per user, inner width d."""
    threads, their_shape = options.threads, replace(shape, layers=2, inner=shape.hidden)
    peers = [rectools(variant, log, their_shape, threads, options.batch, options.limit) for variant in options.variants]
    networks = {
        "LinRec": their_shape.of_ours(gate_layers=0),
        "softmax": their_shape.of_ours(gate_layers=0, attention="softmax"),
    }
    return peers + _ours(options, networks, their_shape, dataset, {"history": "newest"})


def _ours(
    options: argparse.Namespace,
    networks: dict[str, dict[str, Any]],
    shape: Shape,
    dataset: Dataset,
    settings: dict[str, Any],
) -> list[Contestant]:
    choices = {"hidden_pruning": 0.0, "inner_pruning": 0.0, "depth": shape.layers}
    settings = {**settings, "mode": "causal", "retrain": {"batch_size": options.our_batch}}
    return [
        ours(name, allocator, dataset.path, space, choices, options.threads, settings)
        for name, space in networks.items()
        for allocator in options.allocators
    ]


def measure_epochs(
    systems: Sequence[Contestant], repeats: int, count: int, warmup: int = 3, start: Any = Contestant.start
) -> dict[str, Any]:
    """Measure an epoch of each system, in alternation.

    Parameters
    ----------
    systems
        Peers and our networks.
    repeats
        Number of turns. RecTools and ours run whole epochs, or ``limit`` batches of RecTools.
    count, warmup
        Number of RecBole's batches timed in each turn, after a warm-up. Its epoch takes hours, so the result is
        extrapolated: their mean times the number of batches in an epoch.
    start
        Function that starts a system; replaced in tests.
    """
    notes: dict[str, dict[str, Any]] = {}

    def measure(name: str, worker: Worker) -> float:
        if name.startswith("RecBole"):
            seconds, notes[name] = _extrapolated(ask(worker, "batches", count=count, warmup=warmup))
        else:
            answer = ask(worker, "epoch")
            seconds, notes[name] = _measured_epoch(answer)
        return seconds

    with ExitStack() as stack:
        workers: dict[str, Worker] = {}
        for system in systems:
            workers[system.name] = start(system)
            stack.callback(workers[system.name].close)
        seconds = take_turns(workers, measure, repeats)
        rows = {name: summary(seconds[name], worker) | notes[name] for name, worker in workers.items()}
    pairs = ratios(seconds, lambda name: name.startswith("ours"))
    print_ratios(pairs)
    return {"measurement": "seconds of one training epoch", "repeats": repeats, "rows": rows, "ratios": pairs}


def _extrapolated(answer: dict[str, Any]) -> tuple[float, dict[str, Any]]:
    seconds, batches = answer["seconds"], answer["batches_of_an_epoch"]
    mean = sum(seconds) / len(seconds)
    how = f"extrapolated: the mean of {len(seconds)} batches times the {batches} of an epoch"
    return mean * batches, {"epoch": how, "slowest_over_mean_batch": max(seconds) / mean}


def _measured_epoch(answer: dict[str, Any]) -> tuple[float, dict[str, Any]]:
    """Seconds of an epoch, extrapolated if only its first batches were run."""
    total, run = answer["batches_of_an_epoch"], answer.get("batches") or answer["measured_batches"]
    if run == total:
        return answer["seconds"], {"epoch": f"whole, {total} batches"}
    how = f"extrapolated: the mean of its first {run} batches times the {total} of an epoch"
    return answer["seconds"] / run * total, {"epoch": how}
