"""Systems' accuracy beside their cost, with the Pareto front."""

from __future__ import annotations

from collections.abc import Sequence

from easrec_nni.architecture.cost_kinds import COST_FIGURES, comparable_madds
from easrec_nni.common.pareto import pareto_front
from easrec_nni.report.content import Record

__all__ = ["figure_of", "tradeoff_figure", "tradeoff_records"]


def figure_of(record: Record, key: str) -> float:
    """Figure of a record as float; 0 if missing."""
    return float(record.get(key) or 0.0)


def tradeoff_figure(costs: Sequence[Record]) -> str:
    """Multiply-adds that compare the networks among some records."""
    return COST_FIGURES[comparable_madds([record for record in costs if record.get(COST_FIGURES["nominal"])])]


def tradeoff_records(
    accuracy: Sequence[Record], costs: Sequence[Record], cost: str, ranking: str = "full"
) -> list[Record]:
    """Records of systems with accuracy and cost, and whether they are on the Pareto front.

    Parameters
    ----------
    accuracy, costs
        Records of the same systems; those without a cost are left out.
    cost
        Figure of the cost, such as :func:`tradeoff_figure` gives.
    ranking
        Ranking of the accuracy.
    """
    key = f"ndcg@10_{ranking}"
    by_name = {record["system"]: record for record in costs}
    records: list[Record] = []
    for record in accuracy:
        value = by_name.get(record["system"], {}).get(cost)
        if isinstance(value, float) and value > 0:
            names = ("dataset", "system", "title", "group", "seeds", key, f"{key}_sd")
            identity: Record = {name: record.get(name) for name in names}
            sd = by_name[record["system"]].get(f"{cost}_sd")
            records.append({**identity, cost: value, f"{cost}_sd": sd})
    front = set(pareto_front([(figure_of(record, cost), figure_of(record, key)) for record in records]))
    return [{**record, "pareto": index in front} for index, record in enumerate(records)]
