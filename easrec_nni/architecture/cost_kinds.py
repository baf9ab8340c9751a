"""Kinds of cost that a search can weigh or bound; without torch, for settings."""

from __future__ import annotations

from typing import Literal

__all__ = ["COST_FIGURES", "COST_TITLES", "CostKind"]

CostKind = Literal["nominal", "executed", "latency", "parameters"]

COST_FIGURES: dict[CostKind, str] = {
    "nominal": "madds_per_user",
    "executed": "executed_madds_per_user_on_histories",
    "latency": "latency_ms_per_user",
    "parameters": "parameters",
}
"""Figure of :class:`~easrec_nni.architecture.cost.Cost` by kind."""

COST_TITLES: dict[CostKind, str] = {
    "nominal": "nominal multiply-adds",
    "executed": "multiply-adds executed on the dataset's histories",
    "latency": "predicted milliseconds per user",
    "parameters": "parameters",
}
"""Names of the kinds in messages."""
