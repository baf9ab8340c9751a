"""Repeated measurements, in turns, and what is said of them: median and range."""

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
    """Median, smallest and largest.

    Examples
    --------
    >>> spread([3.0, 1.0, 2.5])
    {'median': 2.5, 'min': 1.0, 'max': 3.0}
    """
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


def ratio(others: Sequence[float], ours: Sequence[float]) -> Spread:
    """How many times as long something took: of each turn's two measurements, which met the same machine.

    Parameters
    ----------
    others, ours
        Seconds of the first, the second, … turn.

    Returns
    -------
    dict
        Spread of ``others / ours`` by turn.

    Raises
    ------
    ValueError
        The turns are not as many.

    Examples
    --------
    >>> ratio([10.0, 12.0, 30.0], [1.0, 2.0, 2.0])
    {'median': 10.0, 'min': 6.0, 'max': 15.0}
    """
    return spread([other / own for other, own in zip(others, ours, strict=True)])


def timed(work: Callable[[], object]) -> dict[str, float]:
    """Seconds that passed (``seconds``), and seconds that the cores worked for this process (``processor_seconds``)."""
    begin, processor = time.perf_counter(), time.process_time()
    work()
    return {"seconds": time.perf_counter() - begin, "processor_seconds": time.process_time() - processor}


def seconds_of(work: Callable[[], object]) -> float:
    """Seconds that passed."""
    return timed(work)["seconds"]


def in_turns(measures: Mapping[Name, Callable[[], Value]], repeats: int, warmup: int = 1) -> dict[Name, list[Value]]:
    """Measure each once, then each again, and so on, so that what disturbs the machine disturbs all alike.

    Parameters
    ----------
    measures
        Functions that measure once, by name.
    repeats
        Turns that count.
    warmup
        Turns before them, whose measurements are thrown away.

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
    """Measurements after a warm-up that is thrown away."""
    return in_turns({None: measure}, repeats)[None]
