"""The loss at the best scale against a search over scales, finite differences and a temperature by hand."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from easrec_nni.training.losses import LOSSES, Calibrated, Softmax, draw_negatives, make_loss

TARGETS = torch.tensor([3, 1, 7, 3, 5])
SCALES = torch.logspace(math.log10(0.125), math.log10(2), 4001, dtype=torch.float64)


def plain_minimum(states: Tensor, items: Tensor) -> float:
    scores = states @ items.T
    return min(float(cross_entropy(scale * scores, TARGETS - 1)) for scale in SCALES)


@pytest.mark.parametrize("confidence", [2.0, 3.0, 5.0])
def test_it_is_the_smallest_loss_over_all_scales(seven, confidence: float) -> None:
    torch.manual_seed(3)
    # Scores that point at the target in four of five positions, and are too sure of it.
    hits = seven.table[TARGETS].detach() * torch.tensor([1, 1, -0.5, 1, 1], dtype=torch.float64)[:, None]
    states = confidence * (hits + 0.3 * torch.randn(5, 4, dtype=torch.float64))
    plain = float(Softmax(7)(seven, states, TARGETS, None))
    found = float(Calibrated(Softmax(7))(seven, states, TARGETS, None))
    expected = plain_minimum(states, seven.table[1:].detach())
    assert found == pytest.approx(expected, rel=2e-3)
    assert found < 0.9 * min(plain, math.log(7))  # the scale matters, and is not the smallest one


def test_two_networks_that_differ_by_a_factor_are_equal(seven) -> None:
    torch.manual_seed(3)
    states = seven.table[TARGETS].detach() * torch.tensor([1, 1, -0.5, 1, 1], dtype=torch.float64)[:, None]
    loss = Calibrated(Softmax(7))
    both = [float(loss(seven, factor * states, TARGETS, None)) for factor in (2.0, 4.0)]
    assert both[0] == pytest.approx(both[1], rel=2e-3)


def test_its_gradient_is_that_of_the_minimum(seven) -> None:
    torch.manual_seed(4)
    hits = seven.table[TARGETS].detach() * torch.tensor([1, 1, -0.5, 1, 1], dtype=torch.float64)[:, None]
    states = (3 * hits + torch.randn(5, 4, dtype=torch.float64)).requires_grad_()
    Calibrated(Softmax(7))(seven, states, TARGETS, None).backward()
    items, step = seven.table[1:].detach(), 1e-3
    for place in ((0, 0), (2, 3), (4, 1)):
        moved = torch.zeros(5, 4, dtype=torch.float64)
        moved[place] = step
        up, down = (plain_minimum(states.detach() + sign * moved, items) for sign in (1, -1))
        assert float(states.grad[place]) == pytest.approx((up - down) / (2 * step), abs=3e-3)


@pytest.mark.parametrize("name", LOSSES)
def test_any_loss_can_be_scaled(name: str, seven, states: Tensor) -> None:
    loss = make_loss(name, 7)
    calibrated = Calibrated(loss)
    assert calibrated.needs_negatives == loss.needs_negatives and calibrated.n_items == 7
    torch.manual_seed(0)
    negatives = draw_negatives(7, 4) if loss.needs_negatives else None
    plain = float(loss(seven, 30 * states, TARGETS, negatives))
    assert float(calibrated(seven, 30 * states, TARGETS, negatives)) < plain
