"""What is measured several times, and what is said of it: median and range."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence

__all__ = ["Spread", "ratio", "repeated", "spread"]

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


def repeated(measure: Callable[[], float], repeats: int, warmup: int = 1) -> list[float]:
    """Measurements after a warm-up that is thrown away.

    Parameters
    ----------
    measure
        Measures once.
    repeats
        Measurements that count.
    warmup
        Measurements before them.
    """
    for _ in range(warmup):
        measure()
    return [measure() for _ in range(repeats)]
