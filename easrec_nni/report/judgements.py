"""Trials that were judged against the unpruned network: their costs, verdicts and the choice among them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from easrec_nni.architecture.cost_kinds import COST_FIGURES, COST_TITLES
from easrec_nni.common.errors import UserError
from easrec_nni.common.readable import counted
from easrec_nni.evaluation.judgement import TESTED, Judgement
from easrec_nni.evaluation.selection import SELECTED
from easrec_nni.experiments.experiment import Trial
from easrec_nni.experiments.export import KEPT_BY_SELECTION, choose_trial, compared_cost

__all__ = ["JudgedTrial", "choice_of", "choice_text", "judged_trials"]

UNPRUNED = "unpruned_"
"""Prefix of the unpruned network's costs in a final result."""


@dataclass(frozen=True)
class JudgedTrial:
    """A trial with its judgements.

    Attributes
    ----------
    trial
        The trial.
    cost_kind
        Kind of cost that compares the judged networks.
    cost_share
        Cost of its network, as a share of the unpruned network's.
    valid, test
        Judgements by the validation users, for the choice, and by the test users.
    """

    trial: Trial
    cost_kind: str
    cost_share: float
    valid: Judgement
    test: Judgement


def judged_trials(trials: Sequence[Trial]) -> list[JudgedTrial]:
    """Trials with both judgements and costs, cheapest first."""
    judged, kind = [], _kind(trials)
    figure = COST_FIGURES[kind]
    for trial in trials:
        cost, unpruned = trial.figure(figure), trial.figure(f"{UNPRUNED}{figure}")
        valid, test = (Judgement.in_result(trial.final or {}, prefix) for prefix in (SELECTED, TESTED))
        if valid is not None and test is not None and cost is not None and unpruned:
            judged.append(JudgedTrial(trial, kind, cost / unpruned, valid, test))
    return sorted(judged, key=lambda each: (each.cost_share, each.trial.number))


def _kind(trials: Sequence[Trial]) -> str:
    judged = [trial for trial in trials if trial.figure(KEPT_BY_SELECTION) is not None]
    return compared_cost(judged, ("", UNPRUNED))


def choice_of(judged: Sequence[JudgedTrial]) -> JudgedTrial:
    """The trial of ``--smallest``; where none keeps the accuracy, the one with the best final result.

    Parameters
    ----------
    judged
        Judged trials, one or more.
    """
    trials = [each.trial for each in judged]
    try:
        chosen = choose_trial(trials, smallest=True)
    except UserError:  # none keeps the accuracy
        chosen = choose_trial(trials)
    return next(each for each in judged if each.trial is chosen)


def choice_text(judged: Sequence[JudgedTrial], chosen: JudgedTrial) -> list[str]:
    """Sentences on the choice by the validation users, and on its check by the test users.

    Parameters
    ----------
    judged
        All judged trials.
    chosen
        The chosen one.
    """
    margin = f"{chosen.valid.margin:.0%}"
    users = counted(chosen.valid.users, "validation user")
    if chosen.valid.verdict == "kept":
        choice = (
            f"trial {chosen.trial.number} has the smallest network that keeps the unpruned network's accuracy within "
            f"{margin} on {users}, at {chosen.cost_share:.0%} of its {COST_TITLES[chosen.cost_kind]}"
        )
    else:
        choice = (
            f"no network of {counted(len(judged), 'trial')} was shown to keep the unpruned network's accuracy within "
            f"{margin} on {users}{_needed(judged)}; trial {chosen.trial.number} has the best final result, at "
            f"{chosen.cost_share:.0%} of the unpruned network's {COST_TITLES[chosen.cost_kind]}"
        )
    return [choice, f"checked on the test users: {chosen.test.text}"]


def _needed(judged: Sequence[JudgedTrial]) -> str:
    """Clause on the least number of validation users with which a verdict is likely."""
    needed = [each.valid.users_needed for each in judged if each.valid.users_needed is not None]
    return f" (about {min(needed):,} would tell)" if needed else ""
