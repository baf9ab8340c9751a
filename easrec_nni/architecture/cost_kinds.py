"""Kinds of cost that a search can weigh or bound; without torch, for settings."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Literal

__all__ = ["COST_FIGURES", "COST_TITLES", "CostKind", "comparable_madds", "kinds_in"]

CostKind = Literal["nominal", "executed", "latency", "parameters"]

COST_FIGURES: Mapping[str, str] = {
    "executed": "executed_madds_per_user_on_histories",
    "nominal": "madds_per_user",
    "parameters": "parameters",
    "latency": "latency_ms_per_user",
}
"""Figure of :class:`~easrec_nni.architecture.cost.Cost` by kind; the first one that networks have compares them."""

COST_TITLES: Mapping[str, str] = {
    "nominal": "nominal multiply-adds",
    "executed": "multiply-adds executed on the dataset's histories",
    "latency": "predicted milliseconds per user",
    "parameters": "parameters",
}
"""Names of the kinds in messages."""


def kinds_in(costs: Collection[Mapping[str, object]]) -> list[str]:
    """Kinds of cost that all networks have; the first one compares them where no other is asked for.

    Parameters
    ----------
    costs
        Costs of each network, by the names of :data:`COST_FIGURES`.

    Examples
    --------
    >>> kinds_in([{"madds_per_user": 3.0, "parameters": 5.0}, {"madds_per_user": 2.0}])
    ['nominal']
    """
    return [kind for kind, figure in COST_FIGURES.items() if all(row.get(figure) is not None for row in costs)]


def comparable_madds(costs: Collection[Mapping[str, object]]) -> Literal["executed", "nominal"]:
    """Kind of multiply-adds that compares networks: executed, or nominal where one of them lacks the executed ones.

    Parameters
    ----------
    costs
        Costs of each network, by the names of :data:`COST_FIGURES`.

    Examples
    --------
    >>> comparable_madds([{"madds_per_user": 3.0}, {"madds_per_user": 2.0}])
    'nominal'
    """
    return "executed" if "executed" in kinds_in(costs) else "nominal"
