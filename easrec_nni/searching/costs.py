"""Cost of every architecture of a space, in the kind that a search weighs or bounds."""

from __future__ import annotations

import math

from easrec_nni.architecture import cost
from easrec_nni.architecture.cost_kinds import COST_TITLES, CostKind
from easrec_nni.common.errors import UserError
from easrec_nni.training.context import TrialContext
from search_spaces import Choice

__all__ = ["CostTable", "check_budget", "check_within_budget", "cheapest", "cost_table"]

CostTable = dict[str, dict[int, float]]
"""Cost by candidate label and depth; the largest architecture's is 1."""


def cost_table(context: TrialContext, kind: CostKind) -> CostTable:
    """Table of a kind of cost for a trial's space and dataset.

    A new kind is a name in :mod:`easrec_nni.architecture.cost_kinds` and a table here.

    Raises
    ------
    UserError
        The executed cost is asked for, and the dataset has no test targets, before which inference would run; or the
        latency file cannot be read or is of another space.
    """
    if kind == "executed" and context.history_lengths is None:
        raise UserError(
            f"search.cost: executed counts on the histories before test targets, of which {context.dataset.name} has "
            "none: set search.cost: nominal"
        )
    if kind == "latency":
        device = context.latency
        assert device is not None  # the settings demand it
        return cost.normalised_table(context.space, lambda choice: device.predict(choice, context.space))
    return cost.cost_table(context.space, kind=kind, histories=context.history_lengths)


def cheapest(context: TrialContext) -> tuple[float, Choice]:
    """Cost of the cheapest architecture in the kind that the search bounds, and that architecture.

    It need not be the smallest one: measured latencies may rise where widths fall.
    """
    table = cost_table(context, context.settings.search.cost_kind)
    costs = [(table[choice.label][choice.depth], choice) for choice in context.space.architectures()]
    return min(costs, key=lambda entry: entry[0])


def check_budget(context: TrialContext) -> None:
    """Refuse a budget that no architecture of the space meets.

    Raises
    ------
    UserError
        The message names the smallest possible budget.
    """
    options = context.settings.search
    if options.budget is None:
        return
    smallest, choice = cheapest(context)
    if smallest > options.budget:
        possible = math.ceil(smallest * 1e4) / 1e4  # rounded up, so that it can be typed as it is printed
        raise UserError(
            f"search.budget: no architecture of this space costs {options.budget:.4g} of the largest one's "
            f"{COST_TITLES[options.cost_kind]}: the smallest possible budget is {possible:.4f} ({choice.label}, "
            f"depth {choice.depth})"
        )


def check_within_budget(context: TrialContext, choice: Choice) -> None:
    """Refuse a searched architecture that exceeds the budget, before it is retrained.

    Raises
    ------
    UserError
        It does, as only a file that was edited after its search can.
    """
    options = context.settings.search
    if options.budget is None:
        return
    share = cost_table(context, options.cost_kind)[choice.label][choice.depth]
    if share > options.budget:
        raise UserError(
            f"the architecture ({choice.label}, depth {choice.depth}) "
            f"costs {share:.4f} of the largest one's {COST_TITLES[options.cost_kind]}, more than the budget of "
            f"{options.budget:.4g}: search again with --restart"
        )
