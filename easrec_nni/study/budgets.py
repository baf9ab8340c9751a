"""Training budgets, the same for all systems of a study."""

from __future__ import annotations

from dataclasses import dataclass

from easrec_nni.common.errors import UserError
from easrec_nni.settings.trial import TrialSettings

__all__ = ["BUDGETS", "Budget", "with_budget"]


@dataclass(frozen=True)
class Budget:
    """Maximum numbers of epochs, and patience of early stopping in epochs."""

    search_epochs: int
    retrain_epochs: int
    patience: int


BUDGETS: dict[str, Budget | None] = {
    "smoke": Budget(1, 1, 1),
    "small": Budget(8, 16, 10),
    "settings": None,
    "paper": Budget(100, 200, 10),
}
"""Budgets by name; ``settings`` leaves the epochs of the settings file unchanged."""


def with_budget(settings: TrialSettings, name: str) -> TrialSettings:
    """Settings with a budget's epochs; warm-up and temperature decay are scaled along.

    Raises
    ------
    UserError
        There is no budget of that name.
    """
    if name not in BUDGETS:
        raise UserError(f"there is no budget {name!r}; choose from {', '.join(BUDGETS)}")
    budget = BUDGETS[name]
    if budget is None:
        return settings
    scale = budget.search_epochs / settings.search.epochs
    decay = settings.search.temperature.decay / scale
    return settings.with_parameters(
        {
            "search.epochs": budget.search_epochs,
            "search.warmup_epochs": min(round(settings.search.warmup * scale), budget.search_epochs - 1),
            "search.patience": max(budget.patience, budget.search_epochs),
            "search.temperature.decay": decay,
            "retrain.epochs": budget.retrain_epochs,
            "retrain.patience": budget.patience,
        }
    )
