"""Pareto front of accuracy and cost."""

from __future__ import annotations

from collections.abc import Sequence

from easrec_nni.report.content import Record

__all__ = ["ACCURACY", "COST", "figure_of", "pareto_front", "tradeoff_records"]

ACCURACY = "ndcg@10_full"
COST = "madds_per_user"


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


def figure_of(record: Record, key: str) -> float:
    """Figure of a record as float; 0 if missing."""
    return float(record.get(key) or 0.0)


def tradeoff_records(accuracy: Sequence[Record], costs: Sequence[Record]) -> list[Record]:
    """Records of systems with accuracy and cost, and whether they are on the Pareto front."""
    by_name = {record["system"]: record for record in costs}
    records: list[Record] = []
    for record in accuracy:
        cost = by_name.get(record["system"], {}).get(COST)
        if isinstance(cost, float) and cost > 0:
            keys = ("dataset", "system", "title", "group", "seeds", ACCURACY, f"{ACCURACY}_sd")
            identity: Record = {key: record.get(key) for key in keys}
            sd = by_name[record["system"]].get(f"{COST}_sd")
            records.append({**identity, COST: cost, f"{COST}_sd": sd})
    front = set(pareto_front([(figure_of(record, COST), figure_of(record, ACCURACY)) for record in records]))
    return [{**record, "pareto": index in front} for index, record in enumerate(records)]
