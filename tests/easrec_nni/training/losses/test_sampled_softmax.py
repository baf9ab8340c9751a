"""Sampled softmax against the mean over all samples, and against the full softmax."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations
from typing import Any

import pytest
import torch
from torch import Tensor

from easrec_nni.training.losses import SampledSoftmax, Softmax, draw_negatives

ALL = torch.arange(1, 8)


def test_with_all_items_it_is_the_full_softmax(seven: Any, states: Tensor, targets: Tensor) -> None:
    full, sampled = Softmax(7)(seven, states, targets, None), SampledSoftmax(7)(seven, states, targets, ALL.flip(0))
    assert sampled.item() == pytest.approx(full.item(), rel=1e-12)
    for loss_of_full, loss_of_sample in zip(
        torch.autograd.grad(full, (states, seven.table)),
        torch.autograd.grad(sampled, (states, seven.table)),
        strict=True,
    ):
        torch.testing.assert_close(loss_of_sample, loss_of_full, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("count", [2, 3, 5])
def test_over_all_samples_the_denominators_mean_is_the_full_one(
    seven: Any, states: Tensor, targets: Tensor, count: int
) -> None:
    scores = (states @ seven.table.T)[:, 1:]
    for position in range(len(states)):
        state, target = states[position : position + 1], targets[position : position + 1]
        own = scores[position, int(target) - 1]
        denominators = [
            (SampledSoftmax(7)(seven, state, target, torch.tensor(items)) + own).exp().item()
            for items in combinations(range(1, 8), count)
        ]
        expected = scores[position].exp().sum().item()
        assert sum(denominators) / len(denominators) == pytest.approx(expected, rel=1e-12)


def plain_softmax(table: Any, states: Tensor, targets: Tensor, negatives: Tensor) -> Tensor:
    """Softmax loss over target and negatives, without correction."""
    terms = []
    for state, target in zip(states, targets.tolist(), strict=True):
        chosen = [target, *(item for item in negatives.tolist() if item != target)]
        terms.append(-(state @ table.table[chosen].T).log_softmax(0)[0])
    return torch.stack(terms).mean()


def mean_gradient_error(loss: Callable[..., Tensor], table: Any, states: Tensor, targets: Tensor, count: int) -> float:
    """Relative error of the mean gradient over 300 sets of negatives against the full softmax."""
    (full,) = torch.autograd.grad(Softmax(60)(table, states, targets, None), states)
    losses = [loss(table, states, targets, draw_negatives(60, count, seed)) for seed in range(300)]
    (mean,) = torch.autograd.grad(torch.stack(losses).mean(), states)
    return ((mean - full).norm() / full.norm()).item()


def test_the_mean_gradient_is_near_the_full_softmaxs(sixty: Any, states: Tensor, targets: Tensor) -> None:
    errors = [mean_gradient_error(SampledSoftmax(60), sixty, states, targets, count) for count in (4, 20, 59)]
    assert errors == sorted(errors, reverse=True)
    assert errors[0] < 0.1 and errors[1] < 0.03 and errors[2] < 0.005


def test_without_the_correction_it_is_not(sixty: Any, states: Tensor, targets: Tensor) -> None:
    corrected = mean_gradient_error(SampledSoftmax(60), sixty, states, targets, 4)
    assert mean_gradient_error(plain_softmax, sixty, states, targets, 4) > 2 * corrected


def test_an_accidental_hit_is_not_pushed_down(seven: Any, states: Tensor) -> None:
    """A single negative that is the target gives zero gradient and no NaN."""
    target = torch.tensor([4])
    loss = SampledSoftmax(7)(seven, states[:1], target, torch.tensor([4]))
    loss.backward()
    assert loss.item() == 0.0 and seven.table.grad.abs().max() == 0.0 and states.grad is not None
