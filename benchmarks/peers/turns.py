"""Measurements of systems in alternation, their ratios, and result files."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from easrec_nni.architecture.document import DatasetReference
from easrec_nni.bench.machine import benchmark_provenance
from easrec_nni.bench.repeats import ratio, spread
from easrec_nni.common.files import write_json
from easrec_nni.data.dataset import Dataset

__all__ = ["Worker", "ask", "ratios", "take_turns", "write_result"]

Request = dict[str, Any]


class Worker(Protocol):
    """Worker process that measures on request."""

    @property
    def facts(self) -> dict[str, Any]:
        """Facts about the loaded system."""

    def ask(self, request: str) -> dict[str, Any]:
        """Send a request (see :mod:`benchmarks.peers.worker_loop`) and return the answer."""

    def close(self) -> None:
        """Kill the process."""


def ask(worker: Worker, do: str, **arguments: Any) -> dict[str, Any]:
    """Send a request and return the answer."""
    return worker.ask(json.dumps({"do": do, **arguments}))


def take_turns(
    workers: Mapping[str, Worker], measure: Callable[[str, Worker], float], repeats: int
) -> dict[str, list[float]]:
    """Measure workers in alternation: each once per turn.

    Parameters
    ----------
    workers
        Worker processes by name.
    measure
        Function that measures a worker once, in seconds.
    repeats
        Number of turns.

    Returns
    -------
    dict
        Seconds of each turn, by name.
    """
    turns: dict[str, list[float]] = {name: [] for name in workers}
    for turn in range(repeats):
        for name, worker in workers.items():
            turns[name].append(measure(name, worker))
            print(f"turn {turn + 1} of {repeats}, {name}: {turns[name][-1]:.3f} s", flush=True)
    return turns


def ratios(seconds: Mapping[str, Sequence[float]], is_ours: Callable[[str], bool]) -> list[dict[str, Any]]:
    """Time of each peer relative to each of our networks, turn by turn.

    Parameters
    ----------
    seconds
        Seconds of each turn, by system.
    is_ours
        Predicate on a system's name.
    """
    peers = [name for name in seconds if not is_ours(name)]
    return [
        {"peer": peer, "ours": ours, "times_as_fast": ratio(seconds[peer], seconds[ours])}
        for ours in seconds
        if is_ours(ours)
        for peer in peers
    ]


def print_ratios(rows: Sequence[dict[str, Any]]) -> None:
    """Print a line for each pair: median and range."""
    for row in rows:
        times = row["times_as_fast"]
        print(
            f"{row['ours']} is {times['median']:.1f} times as fast as {row['peer']} "
            f"({times['min']:.1f} to {times['max']:.1f})"
        )


def summary(seconds: Sequence[float], worker: Worker) -> dict[str, Any]:
    """Result row of a system: seconds, and peak memory with and without its imports."""
    facts = dict(worker.facts)
    peak, baseline = ask(worker, "memory")["peak_memory_bytes"], facts["baseline_peak_memory_bytes"]
    return {
        "seconds": spread(seconds),
        "seconds_of_turns": list(seconds),
        "peak_memory_bytes": peak,
        "peak_memory_beyond_imports_bytes": peak - baseline,
        **facts,
    }


def write_result(file: Path, dataset: Dataset, figures: dict[str, Any], before: list[float]) -> None:
    """Write a measurement with its provenance.

    Parameters
    ----------
    file
        JSON file to write.
    dataset
        Dataset of the measurement.
    figures
        Figures of the measurement.
    before
        Load averages at its start.
    """
    write_json(
        file,
        {
            "schema_version": 1,
            **figures,
            "dataset": DatasetReference.of(dataset).model_dump(),
            **benchmark_provenance(before),
            "command": shlex.join(["python", "-m", "benchmarks.peers", *sys.argv[1:]]),
        },
    )
