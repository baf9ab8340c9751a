"""Repeated measurements in alternation, and their median and range."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

__all__ = ["Spread", "in_turns", "ratio", "repeated", "seconds_of", "spread", "timed"]

Name = TypeVar("Name")
Value = TypeVar("Value")
Spread = dict[str, float]


def spread(values: Sequence[float]) -> Spread:
    """Median, minimum and maximum.

    Examples
    --------
    >>> spread([3.0, 1.0, 2.5])
    {'median': 2.5, 'min': 1.0, 'max': 3.0}
    """
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


def ratio(others: Sequence[float], ours: Sequence[float]) -> Spread:
    """Spread of the ratios of two measurements, turn by turn.

    The two measurements of a turn were made under the same load.

    Parameters
    ----------
    others, ours
        Seconds of each turn.

    Returns
    -------
    dict
        Spread of ``others / ours`` by turn.

    Raises
    ------
    ValueError
        The numbers of turns differ.

    Examples
    --------
    >>> ratio([10.0, 12.0, 30.0], [1.0, 2.0, 2.0])
    {'median': 10.0, 'min': 6.0, 'max': 15.0}
    """
    return spread([other / our for other, our in zip(others, ours, strict=True)])


def timed(work: Callable[[], object]) -> dict[str, float]:
    """Wall-clock time (``seconds``) and processor time of this process (``processor_seconds``)."""
    begin, processor = time.perf_counter(), time.process_time()
    work()
    return {"seconds": time.perf_counter() - begin, "processor_seconds": time.process_time() - processor}


def seconds_of(work: Callable[[], object]) -> float:
    """Wall-clock seconds of some work."""
    return timed(work)["seconds"]


def in_turns(measures: Mapping[Name, Callable[[], Value]], repeats: int, warmup: int = 1) -> dict[Name, list[Value]]:
    """Measure in alternation (A, B, A, B, …), so that other load on the machine affects all alike.

    Parameters
    ----------
    measures
        Functions that measure once, by name.
    repeats
        Number of turns, warm-up excluded.
    warmup
        Number of turns before them, whose measurements are discarded.

    Examples
    --------
    >>> numbers = iter(range(6))
    >>> in_turns({"a": lambda: next(numbers), "b": lambda: next(numbers)}, repeats=2)
    {'a': [2, 4], 'b': [3, 5]}
    """
    turns: dict[Name, list[Value]] = {name: [] for name in measures}
    for turn in range(warmup + repeats):
        for name, measure in measures.items():
            value = measure()
            if turn >= warmup:
                turns[name].append(value)
    return turns


def repeated(measure: Callable[[], Value], repeats: int) -> list[Value]:
    """Repeated measurements, after a warm-up that is discarded."""
    return in_turns({None: measure}, repeats)[None]
