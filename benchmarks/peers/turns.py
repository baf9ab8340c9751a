"""Systems asked in turns, and what is said of their answers."""

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
    """A system that measures when asked."""

    @property
    def facts(self) -> dict[str, Any]:
        """What it said when it was loaded."""

    def ask(self, request: str) -> dict[str, Any]:
        """Answer to a request, see :mod:`benchmarks.peers.worker_loop`."""

    def close(self) -> None:
        """End it."""


def ask(worker: Worker, do: str, **arguments: Any) -> dict[str, Any]:
    """Answer to a request."""
    return worker.ask(json.dumps({"do": do, **arguments}))


def take_turns(
    workers: Mapping[str, Worker], measure: Callable[[str, Worker], float], repeats: int
) -> dict[str, list[float]]:
    """Measure every worker once, then every worker again, and so on.

    Parameters
    ----------
    workers
        Systems by name.
    measure
        Seconds of one measurement of one of them.
    repeats
        Turns.

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
    """How many times as long each peer took as each of ours, turn by turn.

    Parameters
    ----------
    seconds
        Of each turn, by system.
    is_ours
        Tells by name.
    """
    peers = [name for name in seconds if not is_ours(name)]
    return [
        {"peer": peer, "ours": own, "times_as_fast": ratio(seconds[peer], seconds[own])}
        for own in seconds
        if is_ours(own)
        for peer in peers
    ]


def print_ratios(rows: Sequence[dict[str, Any]]) -> None:
    """A line for each pair: median and range."""
    for row in rows:
        times = row["times_as_fast"]
        print(
            f"{row['ours']} is {times['median']:.1f} times as fast as {row['peer']} "
            f"({times['min']:.1f} to {times['max']:.1f})"
        )


def summary(seconds: Sequence[float], worker: Worker) -> dict[str, Any]:
    """A system's row: seconds, and memory beyond what its interpreter and imports had needed."""
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
    """Write a measurement with what it was made with.

    Parameters
    ----------
    file
        JSON file.
    dataset
        What was measured on.
    figures
        The measurement.
    before
        Load average at its beginning.
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
