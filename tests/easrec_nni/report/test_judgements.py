"""Judged trials from final results, and the sentences on the choice."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from easrec_nni.evaluation.judgement import Judgement, Verdict
from easrec_nni.experiments.experiment import Trial
from easrec_nni.experiments.export import choose_trial
from easrec_nni.report.judgements import choice_of, choice_text, judged_trials


def judgement(verdict: Verdict, difference: float, users: int) -> Judgement:
    return Judgement(
        verdict=verdict, figure="ndcg@10_unseen", users=users, value=0.2 * (1 + difference), unpruned=0.2,
        difference=difference, low=difference - 0.01, high=difference + 0.01, margin=0.02,
        users_needed=5000 if verdict == "cannot tell" else None,
    )  # fmt: skip


def trial(number: int, cost: float, verdict: Verdict = "kept", **changes: Any) -> Trial:
    valid, test = judgement(verdict, -0.001, 300), judgement("lost", -0.05, 600)
    final = {**valid.keys("valid_selection_"), **test.keys("test_"), "madds_per_user": cost}
    final |= {"unpruned_madds_per_user": 1000.0, **changes}
    return Trial(f"t{number}", number, "SUCCEEDED", {}, Path(), (), final)


def test_trials_come_with_their_judgements_cheapest_first() -> None:
    judged = judged_trials([trial(0, 800.0), trial(1, 250.0)])
    assert [(each.trial.number, each.cost_share) for each in judged] == [(1, 0.25), (0, 0.8)]
    assert judged[0].valid == judgement("kept", -0.001, 300) and judged[0].test == judgement("lost", -0.05, 600)


def test_costs_executed_on_histories_compare_networks_that_all_have_them() -> None:
    def costs(share: float) -> dict[str, float]:
        figure = "executed_madds_per_user_on_histories"
        return {figure: 100 * share, f"unpruned_{figure}": 100.0}

    pair = trial(0, 800.0, default=0.3, **costs(0.3)), trial(1, 250.0, default=0.3, **costs(0.5))
    judged = judged_trials(pair)
    assert [(each.trial.number, each.cost_share) for each in judged] == [(0, 0.3), (1, 0.5)]
    assert choice_of(judged).trial.number == 0 and choose_trial(pair, smallest=True) is pair[0]
    assert "at 30% of its multiply-adds executed on the dataset's histories" in choice_text(judged, judged[0])[0]
    mixed = trial(0, 800.0, default=0.3), trial(1, 250.0, default=0.3, **costs(0.5))
    assert [(each.trial.number, each.cost_share) for each in judged_trials(mixed)] == [(1, 0.25), (0, 0.8)]
    assert choose_trial(mixed, smallest=True) is mixed[1]


@pytest.mark.parametrize(
    "changes",
    [
        {"valid_selection_kept_accuracy": None},
        {"valid_selection_kept_accuracy": 0.7},
        {"test_users": "many"},
        {"unpruned_madds_per_user": 0},
        {"madds_per_user": float("nan")},
        {"test_margin": None},
    ],
)
def test_trials_without_a_judgement_or_with_a_damaged_one_are_left_out(changes: dict[str, Any]) -> None:
    assert judged_trials([trial(0, 800.0, **changes)]) == []


def test_a_final_result_of_an_earlier_version_is_not_judged() -> None:
    assert judged_trials([Trial("t", 0, "SUCCEEDED", {}, Path(), (), {"default": 0.1, "madds_per_user": 3.0})]) == []
    assert judged_trials([Trial("t", 0, "FAILED", {}, Path())]) == []


def test_the_choice_is_said_by_the_validation_users_and_checked_by_the_test_users() -> None:
    judged = judged_trials([trial(3, 250.0), trial(4, 100.0, "cannot tell")])
    choice, check = choice_text(judged, judged[1])
    assert choice.startswith("trial 3 has the smallest network that keeps") and "within 2% on 300" in choice
    assert "at 25% of its nominal multiply-adds" in choice and check.startswith(
        "checked on the test users: lost: NDCG@10"
    )
    unsure, _ = choice_text(judged, judged[0])
    assert unsure.startswith("no network of 2 trials was shown to keep") and "(about 5,000 would tell)" in unsure


def test_the_choice_is_the_smallest_kept_else_the_best_result() -> None:
    kept = judged_trials(
        [trial(0, 800.0, default=0.3), trial(1, 250.0, default=0.2), trial(2, 99.0, "lost", default=0.1)]
    )
    assert choice_of(kept).trial.number == 1
    lost = judged_trials([trial(0, 800.0, "lost", default=0.3), trial(1, 250.0, "cannot tell", default=0.2)])
    assert choice_of(lost).trial.number == 0
