"""Kinds of cost that a search can weigh or bound; without torch, for settings."""

from __future__ import annotations

from typing import Literal

__all__ = ["COST_FIGURES", "COST_TITLES", "CostKind"]

CostKind = Literal["nominal", "executed", "parameters"]

COST_FIGURES: dict[CostKind, str] = {
    "nominal": "madds_per_user",
    "executed": "executed_madds_per_user_on_histories",
    "parameters": "parameters",
}
"""Figure of :class:`~easrec_nni.architecture.cost.Cost` by kind."""

COST_TITLES: dict[CostKind, str] = {
    "nominal": "nominal multiply-adds",
    "executed": "multiply-adds executed on the dataset's histories",
    "parameters": "parameters",
}
"""Names of the kinds in messages."""
