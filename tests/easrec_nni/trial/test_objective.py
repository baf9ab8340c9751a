"""Objectives of the tuner, compared with values computed by hand."""

from __future__ import annotations

from typing import Any

import pytest

from easrec_nni.architecture.cost import architecture_cost
from easrec_nni.common.errors import UserError
from easrec_nni.settings.trial import TrialSettings
from easrec_nni.trial.objective import Objective
from search_spaces import Choice, SpaceConfig

SPACE = SpaceConfig(n_items=30, max_length=8, hidden=8, inner=16, heads=2, layers=2, hidden_pruning=(0, 0.5))
SMALL = {"hidden_pruning": 0.5, "inner_pruning": 0.5, "depth": 1}


def objective(document: Any) -> Objective:
    return Objective(TrialSettings.parse({"data": "x", "objective": document}, "test").objective, SPACE)


def madds(choices: dict[str, float]) -> float:
    return architecture_cost(SPACE, Choice(**choices)).madds_per_user


def test_it_is_the_ndcg_unless_asked_otherwise() -> None:
    plain = Objective(TrialSettings(data="x").objective, SPACE)
    assert plain == objective("ndcg") == objective({"kind": "ndcg"})
    assert plain.value(0.3, {"madds_per_user": 1e9}) == plain.epoch_value(0.3, SMALL) == 0.3
    assert plain.keys(0.3, {}) == {"default": 0.3, "valid_selection_ndcg@10_full": 0.3, "objective": "ndcg"}


@pytest.mark.parametrize(
    ("ndcg", "cost", "value", "feasible"),
    [(0.25, 900, 0.25, 1), (0.25, 1000, 0.25, 1), (0.9, 1500, -0.5, 0), (0.1, 3000, -2.0, 0)],
)
def test_below_a_ceiling_accuracy_counts_and_above_it_cost_alone(
    ndcg: float, cost: float, value: float, feasible: int
) -> None:
    goal = objective({"kind": "ceiling", "ceiling": 1000})
    result = goal.keys(ndcg, {"madds_per_user": cost, "parameters": 7})
    assert result["default"] == pytest.approx(value)
    assert (result["feasible"], result["ceiling"], result["objective"]) == (feasible, 1000, "ceiling")
    assert result["valid_selection_ndcg@10_full"] == ndcg


def test_any_network_below_the_ceiling_is_better_than_any_above() -> None:
    goal = objective({"kind": "ceiling", "ceiling": 2.5, "cost": "inference_ms_per_user"})
    assert goal.value(0.0, {"inference_ms_per_user": 2.5}) > goal.value(1.0, {"inference_ms_per_user": 2.51})


def test_cost_has_a_price_as_a_share_of_the_unpruned_network() -> None:
    goal = objective({"kind": "weighted", "weight": 0.2})
    unpruned = architecture_cost(SPACE, SPACE.largest).madds_per_user
    assert goal.value(0.5, {"madds_per_user": unpruned}) == pytest.approx(0.3)
    assert goal.value(0.5, {"madds_per_user": unpruned / 4}) == pytest.approx(0.45)
    assert "feasible" not in goal.keys(0.5, {"madds_per_user": unpruned})


def test_an_epoch_has_the_value_of_the_network_that_was_validated() -> None:
    ceiling = (madds(SMALL) + architecture_cost(SPACE, SPACE.largest).madds_per_user) / 2
    goal = objective({"kind": "ceiling", "ceiling": ceiling})
    largest = SPACE.largest.model_dump()
    assert goal.epoch_value(0.3, SMALL) == 0.3
    assert goal.epoch_value(0.3, {**largest, "ndcg@10_full": 0.3}) < 0


def test_time_is_not_measured_in_the_middle() -> None:
    goal = objective({"kind": "ceiling", "ceiling": 0.001, "cost": "inference_ms_per_user"})
    assert goal.epoch_value(0.3, SMALL) == 0.3


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ("ceiling", "kind: ceiling needs objective.ceiling"),
        ({"kind": "weighted"}, "kind: weighted needs objective.weight"),
        ({"ceiling": 5}, "ceiling only applies to kind: ceiling"),
        ({"kind": "ceiling", "ceiling": 5, "weight": 1}, "weight only applies to kind: weighted"),
        ({"kind": "ceiling", "ceiling": 0}, "objective.ceiling"),
        ({"kind": "weighted", "weight": 1, "cost": "inference_ms_per_user"}, "unpruned network's time is unknown"),
        ("latency", "objective.kind"),
        ({"kind": "ceiling", "ceiling": 5, "cost": "flops"}, "objective.cost"),
    ],
)
def test_mistakes(document: Any, message: str) -> None:
    with pytest.raises(UserError, match=message):
        objective(document)


def test_it_can_be_sampled_and_set_key_by_key() -> None:
    settings = TrialSettings(data="x").with_parameters({"objective.kind": "ceiling", "objective.ceiling": 3e6})
    assert (settings.objective.kind, settings.objective.ceiling) == ("ceiling", 3e6)
    assert TrialSettings(data="x").with_parameters({"objective": "ndcg"}) == TrialSettings(data="x")
