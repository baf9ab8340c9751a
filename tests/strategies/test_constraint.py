"""Resource constraint against the double sum of Eq. 15 and finite differences."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from strategies import ResourceConstraint, Selection

CANDIDATES = ["hidden0_inner0", "hidden0_inner50", "hidden50_inner0", "hidden50_inner50"]
DEPTHS = [1, 2, 3]
OPTIONS: dict[str, list[object]] = {"pruning": list(CANDIDATES), "depth": list(DEPTHS)}
BLOCKS = dict(zip(CANDIDATES, [0.3, 0.2, 0.15, 0.1], strict=True))
# Cost up to a depth, and one block's cost whatever the depth (the equation as printed).
CUMULATIVE = {name: {depth: depth * block + 0.1 for depth in DEPTHS} for name, block in BLOCKS.items()}
PRINTED = {name: dict.fromkeys(DEPTHS, block) for name, block in BLOCKS.items()}
TABLES = {"cumulative": CUMULATIVE, "printed": PRINTED}

ALPHA, BETA = [0.3, -0.8, 0.1, 1.2], [0.7, -0.4, 0.2]


def make_selection() -> Selection:
    """Selection with arbitrary logits in float64."""
    selection = Selection(OPTIONS)
    selection.logits.double()
    with torch.no_grad():
        selection.logits["pruning"].copy_(torch.tensor(ALPHA))
        selection.logits["depth"].copy_(torch.tensor(BETA))
    return selection


def double_sum(table: dict[str, dict[int, float]], p: list[float], q: list[float]) -> float:
    return sum(p[i] * q[j] * table[name][depth] for i, name in enumerate(CANDIDATES) for j, depth in enumerate(DEPTHS))


@pytest.mark.parametrize("depth", DEPTHS)
@pytest.mark.parametrize("dynamic", [True, False])
@pytest.mark.parametrize("form", TABLES)
def test_value_is_the_double_sum(form: str, dynamic: bool, depth: int) -> None:
    selection = make_selection()
    constraint = ResourceConstraint(TABLES[form], selection, dynamic=dynamic)
    torch.manual_seed(0)
    weights = selection.draw()
    expected = double_sum(TABLES[form], weights["pruning"].tolist(), weights["depth"].tolist())
    assert constraint.expected(weights).item() == pytest.approx(expected, rel=1e-6)
    factor = depth / 3 if dynamic else 1
    assert constraint(weights, depth).item() == pytest.approx(factor * expected, rel=1e-6)


def test_one_hot_weights_give_the_entry_of_the_table() -> None:
    constraint = ResourceConstraint(CUMULATIVE, make_selection())
    for i, name in enumerate(CANDIDATES):
        for j, depth in enumerate(DEPTHS):
            weights = {"pruning": torch.eye(4)[i], "depth": torch.eye(3)[j]}
            assert constraint.expected(weights).item() == pytest.approx(CUMULATIVE[name][depth], rel=1e-6)


def through_gumbel_softmax(
    constraint: ResourceConstraint, depth: int, tau: float
) -> Callable[[Tensor, Tensor], Tensor]:
    """Eq. 15 as a function of both logits with fixed noise, independent of Selection."""
    generator = torch.Generator().manual_seed(7)
    uniform = torch.rand(7, generator=generator, dtype=torch.float64)
    noise = -torch.log(-torch.log(uniform))

    def value(alpha: Tensor, beta: Tensor) -> Tensor:
        p, q = ((alpha + noise[:4]) / tau).softmax(0), ((beta + noise[4:]) / tau).softmax(0)
        return constraint({"pruning": p, "depth": q}, depth)

    return value


@pytest.mark.parametrize("tau", [1.0, 0.3])
@pytest.mark.parametrize("form", TABLES)
def test_gradient_is_that_of_finite_differences(form: str, tau: float) -> None:
    value = through_gumbel_softmax(ResourceConstraint(TABLES[form], make_selection()), 2, tau)
    alpha = torch.tensor(ALPHA, dtype=torch.float64, requires_grad=True)
    beta = torch.tensor(BETA, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(value, (alpha, beta))


@pytest.mark.parametrize("tau", [1.0, 0.3])
def test_gradient_through_the_selection_itself_is_that_of_finite_differences(tau: float) -> None:
    selection = make_selection()
    selection.temperature = tau
    constraint = ResourceConstraint(CUMULATIVE, selection)

    def draw() -> Tensor:
        torch.manual_seed(11)  # the same noise every time
        return constraint(selection.draw(), 3)

    gradients = torch.autograd.grad(draw(), list(selection.logits.values()))
    step = 1e-6
    for logits, gradient in zip(selection.logits.values(), gradients, strict=True):
        for index in range(len(logits)):
            sides = []
            for sign in (1, -1):
                with torch.no_grad():
                    logits[index] += sign * step
                    sides.append(draw().item())
                    logits[index] -= sign * step
            assert gradient[index].item() == pytest.approx((sides[0] - sides[1]) / (2 * step), rel=1e-5, abs=1e-8)


def test_printed_form_with_equal_blocks_gives_beta_no_gradient_and_the_cumulative_one_does() -> None:
    gradients = {}
    for form, table in TABLES.items():
        selection = make_selection()
        torch.manual_seed(3)
        value = ResourceConstraint(table, selection)(selection.draw(), 2)
        gradients[form] = torch.autograd.grad(value, [selection.logits["pruning"], selection.logits["depth"]])
    assert gradients["printed"][1].abs().max() < 1e-8
    assert gradients["cumulative"][1].abs().min() > 1e-4
    for alpha, _ in gradients.values():
        assert alpha.abs().min() > 1e-4


def test_a_step_against_the_gradient_makes_the_expected_architecture_smaller() -> None:
    selection = make_selection()
    constraint = ResourceConstraint(CUMULATIVE, selection)
    before = constraint.expected(selection.probabilities())
    optimizer = torch.optim.SGD(selection.logits.parameters(), lr=1.0)
    for _ in range(300):
        optimizer.zero_grad()
        constraint.expected({label: logits.softmax(0) for label, logits in selection.logits.items()}).backward()
        optimizer.step()
    after = constraint.expected(selection.probabilities())
    assert after < before
    assert selection.sample() == {"pruning": "hidden50_inner50", "depth": 1}


def test_depths_need_not_start_at_one() -> None:
    selection = Selection({"pruning": list(CANDIDATES), "depth": [2, 3]})
    constraint = ResourceConstraint(CUMULATIVE, selection)
    weights = {"pruning": torch.eye(4)[0], "depth": torch.tensor([1.0, 0.0])}
    assert constraint.depths == [2, 3]
    assert constraint(weights, 2).item() == pytest.approx(2 / 3 * CUMULATIVE[CANDIDATES[0]][2], rel=1e-6)


def test_the_table_may_have_more_than_the_space() -> None:
    # A table of a larger space serves a part of it.
    selection = Selection({"pruning": CANDIDATES[2:], "depth": [1]})
    weights = {"pruning": torch.tensor([0.5, 0.5]), "depth": torch.tensor([1.0])}
    value = ResourceConstraint(CUMULATIVE, selection).expected(weights)
    assert value.item() == pytest.approx((0.25 + 0.2) / 2, rel=1e-6)


@pytest.mark.parametrize(
    "entry, message",
    [
        (None, "no entry for 2"),
        (math.nan, "negative or not finite"),
        (math.inf, "negative or not finite"),
        (-0.1, "negative or not finite"),
    ],
)
def test_incomplete_or_impossible_tables_are_refused(entry: float | None, message: str) -> None:
    table = {name: dict(row) for name, row in CUMULATIVE.items()}
    if entry is None:
        del table[CANDIDATES[1]][2]
    else:
        table[CANDIDATES[1]][2] = entry
    with pytest.raises(ValueError, match=message):
        ResourceConstraint(table, make_selection())


def test_a_missing_candidate_is_named() -> None:
    table = {name: row for name, row in CUMULATIVE.items() if name != CANDIDATES[3]}
    with pytest.raises(ValueError, match="no entry for 'hidden50_inner50'"):
        ResourceConstraint(table, make_selection())
