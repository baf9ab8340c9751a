"""gBCE averaged over all possible samples, and its optimum."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from easrec_nni.training.losses import GeneralisedCrossEntropy


def test_without_calibration_it_is_binary_cross_entropy(seven: Any, states: Tensor) -> None:
    targets, negatives = torch.tensor([1, 2, 1, 2, 1]), torch.tensor([4, 6, 7])  # no hits
    scores = states @ seven.table.T
    chosen = torch.cat([scores.gather(1, targets[:, None]), scores[:, negatives]], dim=1)
    labels = torch.tensor([1.0, 0, 0, 0], dtype=torch.float64).expand(5, 4)
    expected = F.binary_cross_entropy_with_logits(chosen, labels)
    result = GeneralisedCrossEntropy(7, 0.0)(seven, states, targets, negatives)
    assert result.item() == pytest.approx(expected.item(), rel=1e-12)


@pytest.mark.parametrize("count", [2, 4, 6])
def test_over_all_samples_each_other_item_counts_with_the_sampling_rate(
    seven: Any, states: Tensor, targets: Tensor, count: int
) -> None:
    """Mean over every set of k items, hits included: loss over n - 1 negatives times k / (n - 1)."""
    loss = GeneralisedCrossEntropy(7, 0.75)
    sets = [torch.tensor(items) for items in combinations(range(1, 8), count)]
    mean = torch.stack([loss(seven, states, targets, items) for items in sets]).mean()
    scores = states @ seven.table.T
    own = scores.gather(1, targets[:, None])[:, 0]
    others = F.softplus(scores[:, 1:]).sum(1) - F.softplus(own)
    expected = ((count / 6) * others - loss.beta(count) * F.logsigmoid(own)).mean() / (count + 1)
    assert mean.item() == pytest.approx(expected.item(), rel=1e-12)
    for result, wanted in zip(
        torch.autograd.grad(mean, (states, seven.table)),
        torch.autograd.grad(expected, (states, seven.table)),
        strict=True,
    ):
        torch.testing.assert_close(result, wanted, rtol=1e-10, atol=1e-14)


class Free:
    """Network with one free score per item (state 1, item vectors of length 1)."""

    def __init__(self, scores: Tensor) -> None:
        self.scores = scores

    def item_vectors(self, ids: Tensor | None = None) -> Tensor:
        vectors = torch.cat([self.scores.new_zeros(1), self.scores])[:, None]
        return vectors[1:] if ids is None else vectors[ids]


@pytest.mark.parametrize(("t", "calibrated"), [(1.0, True), (0.0, False)])
def test_fully_calibrated_it_is_least_at_the_items_probabilities(t: float, calibrated: bool) -> None:
    """Theorem of the paper: for t = 1, the optimum's sigmoids are the item probabilities."""
    probabilities = torch.tensor([0.5, 0.3, 0.15, 0.05], dtype=torch.float64)
    scores = probabilities.logit().requires_grad_()
    loss, total = GeneralisedCrossEntropy(4, t), torch.zeros((), dtype=torch.float64)
    for target, probability in enumerate(probabilities.tolist(), start=1):
        for items in combinations(range(1, 5), 2):
            one = loss(Free(scores), torch.ones(1, 1).double(), torch.tensor([target]), torch.tensor(items))
            total = total + probability * one / 6
    (gradient,) = torch.autograd.grad(total, scores)
    assert (gradient.abs().max() < 1e-14) == calibrated
