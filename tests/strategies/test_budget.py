"""A multiplier adapted to a budget: against a plain loop, in every strategy, resumed."""

from __future__ import annotations

import math
from itertools import product
from typing import Any

import pytest
import torch

from strategies import STRATEGIES, BudgetMultiplier, RecNAS, Selection, TemperatureSchedule
from strategies.constraint import ResourceConstraint
from strategies.recnas import PrunedSelection

BUDGETS = (0.05, 0.4, 1.0)


def softmax(logits: list[float]) -> list[float]:
    powers = [math.exp(logit) for logit in logits]
    return [power / sum(powers) for power in powers]


def test_it_is_the_plain_loop() -> None:
    multiplier, mu = BudgetMultiplier(0.3, steps=20), 0.0
    for cost in [0.6, 0.5, 0.31, 0.3, 0.1, 0.0, 0.0, 0.4, 0.9, 0.2] * 2:
        assert multiplier.weight(cost) == pytest.approx(max(0.0, mu + 10.0 * (cost - 0.3)))
        multiplier.update(cost)
        mu = max(0.0, mu + 40.0 / 20 * (cost - 0.3))
        assert multiplier.accumulated == pytest.approx(mu)
    assert mu > 0


@pytest.mark.parametrize("budget, steps, message", [(0.0, 5, "budget must"), (1.1, 5, "budget"), (0.5, 0, "steps")])
def test_impossible_numbers_are_refused(budget: float, steps: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        BudgetMultiplier(budget, steps)


def test_a_search_moves_alpha_beta_and_the_multiplier_as_a_plain_loop_does(
    cost_table: Any, sums: Any, search_sums: Any
) -> None:
    """DARTS, whose draws are the probabilities: loss (sum_ij p_i q_j j n_i - 3)^2, cost_ij = j n_i / 3."""
    rate, budget, steps = 0.1, 0.2, 7
    strategy = STRATEGIES["darts"](cost_table, multiplier=BudgetMultiplier(budget, steps), arch_learning_rate=rate)
    search_sums(strategy, steps, sums((1, 2)))
    numbers = torch.tensor([0.1, 0.5, 1.0], dtype=torch.float64)
    depths = torch.tensor([1.0, 2.0], dtype=torch.float64)
    alpha, beta = (torch.zeros(size, dtype=torch.float64, requires_grad=True) for size in (3, 2))
    optimizer, mu, used = torch.optim.Adam([alpha, beta], lr=rate), 0.0, []
    for _ in range(steps):
        output = (alpha.softmax(0) @ numbers) * (beta.softmax(0) @ depths)
        used.append(max(0.0, mu + 10.0 * (float(output.detach()) / 3 - budget)))
        optimizer.zero_grad()
        ((output - 3) ** 2 + used[-1] * output / 3).backward()
        optimizer.step()
        cost = sum(
            p * q * j * n / 3
            for (p, n), (q, j) in product(
                zip(softmax(alpha.tolist()), numbers.tolist(), strict=True),
                zip(softmax(beta.tolist()), depths.tolist(), strict=True),
            )
        )
        mu = max(0.0, mu + 40.0 / steps * (cost - budget))
    assert strategy.selection is not None and strategy.multiplier is not None
    torch.testing.assert_close(strategy.selection.logits["pruning"].double(), alpha, rtol=0, atol=1e-5)
    torch.testing.assert_close(strategy.selection.logits["depth"].double(), beta, rtol=0, atol=1e-5)
    assert strategy.multiplier.accumulated == pytest.approx(mu, rel=1e-4)
    assert used[-1] > used[0] > 0


@pytest.mark.parametrize("name", STRATEGIES)
def test_every_strategy_exports_within_each_budget_what_is_as_good_as_possible(
    name: str, cost_table: Any, search_sums: Any
) -> None:
    """The loss falls with the cost; with the whole budget the best architecture is the largest."""
    for budget in BUDGETS:
        strategy = STRATEGIES[name](
            cost_table,
            multiplier=BudgetMultiplier(budget, 40),
            arch_learning_rate=0.25,
            temperature=TemperatureSchedule(decay=0.02, end=0.2),
        )
        search_sums(strategy, 40)
        assert strategy.selection is not None
        sample = strategy.selection.sample()
        assert cost_table[sample["pruning"]][int(sample["depth"])] <= budget
    assert sample == {"pruning": "wide", "depth": 3}  # all of it


def test_a_budget_below_every_cost_is_refused(cost_table: Any, search_sums: Any) -> None:
    with pytest.raises(ValueError, match="no architecture costs 0.03 or less; the cheapest costs 0.0333"):
        search_sums(STRATEGIES["easrec"](cost_table, multiplier=BudgetMultiplier(0.03, 3)), 3)


def test_the_argmax_is_the_most_probable_architecture_within_the_budget(cost_table: Any) -> None:
    generator = torch.Generator().manual_seed(0)
    selection = Selection({"pruning": list(cost_table), "depth": [1, 2, 3]})
    constraint = ResourceConstraint(cost_table, selection)
    for budget in (0.04, 0.3, 0.5, 0.9, 1.0):
        allowed = constraint.within(budget)
        selection.restrict(allowed)
        for _ in range(20):
            with torch.no_grad():
                for logits in selection.logits.values():
                    logits.copy_(torch.randn(3, generator=generator))
            p, q = (softmax(selection.logits[label].tolist()) for label in ("pruning", "depth"))
            best = max(
                (p[i] * q[j - 1], name, j)
                for (i, name), j in product(enumerate(cost_table), (1, 2, 3))
                if cost_table[name][j] <= budget
            )
            assert selection.sample() == {"pruning": best[1], "depth": best[2]}
            assert selection.options["depth"][selection.running("depth")] == best[2]
    # Draws are not restricted, and with the whole space allowed the argmax is that of each choice.
    assert selection.argmax("pruning") == int(selection.logits["pruning"].argmax())


def test_recnas_does_not_drop_what_the_budget_leaves(cost_table: Any) -> None:
    selection = PrunedSelection({"pruning": list(cost_table), "depth": [1, 2, 3]})
    selection.restrict(ResourceConstraint(cost_table, selection).within(0.1))  # narrow, depth 1 to 3
    with torch.no_grad():
        selection.logits["pruning"].copy_(torch.tensor([-9.0, 0.0, 9.0]))
    selection.drop(0.1)
    assert selection.remaining() == {"pruning": ["narrow", "wide"], "depth": [1, 2, 3]}
    assert selection.sample()["pruning"] == "narrow"


@pytest.mark.parametrize("name", STRATEGIES)
def test_the_multiplier_belongs_to_the_state_of_a_search(name: str, cost_table: Any, sums: Any, soften: Any) -> None:
    first, second = (
        soften(STRATEGIES[name](cost_table, multiplier=BudgetMultiplier(0.3, 10)), sums()) for _ in range(2)
    )
    first.multiplier.update(0.9)
    second.load_search_state(first.search_state())
    assert second.multiplier.accumulated == first.multiplier.accumulated > 0
    assert second.trade_off() == first.trade_off() != first.settings.lambda_


def test_without_a_budget_lambda_weighs_the_constraint(cost_table: Any, sums: Any, soften: Any) -> None:
    module = soften(RecNAS(cost_table, lambda_=0.3), sums())
    assert module.trade_off() == 0.3 and "multiplier" not in module.search_state()


def test_repr_names_the_budget() -> None:
    strategy = STRATEGIES["gumbeldarts"]({}, multiplier=BudgetMultiplier(0.4, 3))
    assert repr(strategy) == "GumbelDARTS(budget=0.4, arch_every=1)"
