"""Pareto front of cost and accuracy."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["pareto_front"]


def pareto_front(points: Sequence[tuple[float, float]]) -> list[int]:
    """Indices of the points that no other point dominates.

    Parameters
    ----------
    points
        Pairs of cost (less is better) and accuracy (more is better).

    Returns
    -------
    list of int
        Indices, cheapest first; equal points are all on the front, in the order given.

    Examples
    --------
    >>> pareto_front([(1, 0.5), (2, 0.4), (3, 0.9)])
    [0, 2]
    """
    order = sorted(range(len(points)), key=lambda index: (points[index][0], -points[index][1], index))
    front: list[int] = []
    for index in order:
        if not front or points[index][1] > points[front[-1]][1] or points[index] == points[front[-1]]:
            front.append(index)
    return front
