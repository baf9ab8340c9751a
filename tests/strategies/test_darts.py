"""DARTS: plain softmax, no temperature, no constraint by default."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from strategies import DARTS, TemperatureSchedule


def test_draws_are_the_softmax_of_the_logits(cost_table: Any, sums: Any, soften: Any) -> None:
    module = soften(DARTS(cost_table), sums())
    with torch.no_grad():
        module.selection.logits["pruning"].copy_(torch.tensor([1.0, 2.0, -1.0]))
    exponents = torch.tensor([1.0, 2.0, -1.0]).exp()
    for _ in range(2):
        torch.testing.assert_close(module.selection.draw()["pruning"].detach(), exponents / exponents.sum())


@pytest.mark.parametrize("lambda_", [0.0, 0.5])
def test_a_schedule_of_the_temperature_changes_nothing(lambda_: float, cost_table: Any, search_sums: Any) -> None:
    ends = []
    for schedule in (None, TemperatureSchedule(start=0.5, end=0.1, decay=0.1)):
        strategy = DARTS(cost_table, lambda_=lambda_, arch_learning_rate=0.1, temperature=schedule)
        search_sums(strategy, 10)
        assert strategy.selection is not None and strategy.selection.temperature == 1
        ends.append(torch.cat([logits.detach() for logits in strategy.selection.logits.values()]))
    assert torch.equal(*ends)


def test_a_step_is_adams_on_the_loss_and_the_expected_cost(cost_table: Any, search_sums: Any) -> None:
    lambda_, rate = 2.0, 0.1
    strategy = DARTS(cost_table, lambda_=lambda_, arch_learning_rate=rate)
    search_sums(strategy, 5)
    # The same five steps, written down: (sum_j q_j j sum_i p_i n_i - 3)^2 + lambda sum_ij p_i q_j j n_i / 3.
    alpha, beta = torch.zeros(3, requires_grad=True), torch.zeros(3, requires_grad=True)
    optimizer = torch.optim.Adam([alpha, beta], lr=rate)
    for _ in range(5):
        output = (alpha.softmax(0) @ torch.tensor([0.1, 0.5, 1.0])) * (beta.softmax(0) @ torch.tensor([1.0, 2.0, 3.0]))
        optimizer.zero_grad()
        ((output - 3) ** 2 + lambda_ * output / 3).backward()
        optimizer.step()
    assert strategy.selection is not None
    logits = strategy.selection.logits
    torch.testing.assert_close(logits["pruning"].detach(), alpha.detach(), rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(logits["depth"].detach(), beta.detach(), rtol=1e-4, atol=1e-6)


def test_there_is_no_constraint_by_default() -> None:
    assert DARTS({}).lambda_ == 0
    assert DARTS({}, lambda_=0.3).lambda_ == 0.3
