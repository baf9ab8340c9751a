"""The loss against a cross entropy that is added up position by position."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from easrec_nni.batches import TrainingBatch
from easrec_nni.loss import next_item_loss
from search_spaces import EASRecSpace, SpaceConfig

SIZES: dict[str, Any] = {"n_items": 9, "max_length": 6, "hidden": 8, "inner": 16, "heads": 2, "layers": 2}


@pytest.fixture
def network() -> EASRecSpace:
    torch.manual_seed(0)
    config = SpaceConfig(**SIZES)
    network = EASRecSpace(config).freeze(config.largest).eval().double()
    with torch.no_grad():
        network.embedding.items.weight[1:].normal_(0, 0.5)  # scores that tell items apart
    return network


def cross_entropy(scores: list[float], target: int) -> float:
    """Minus the logarithm of the softmax over items 1..n, padding left out."""
    exponents = [math.exp(score) for score in scores[1:]]
    return -math.log(exponents[target - 1] / sum(exponents))


@torch.no_grad()
def test_loss_at_every_position_is_the_mean_of_cross_entropies(network: EASRecSpace) -> None:
    ids = torch.tensor([[0, 0, 4, 1, 9], [3, 3, 2, 5, 7]])
    targets = torch.tensor([[0, 0, 1, 9, 8], [3, 2, 5, 7, 1]])
    scores = network.score(network.states(ids)).tolist()
    terms = [
        cross_entropy(scores[row][t], int(targets[row, t])) for row in range(2) for t in range(5) if targets[row, t]
    ]
    assert len(terms) == 8
    assert next_item_loss(network, TrainingBatch(ids, targets)).item() == pytest.approx(sum(terms) / 8, rel=1e-10)


@torch.no_grad()
def test_loss_at_the_newest_position_alone(network: EASRecSpace) -> None:
    ids = torch.tensor([[0, 0, 4, 1, 9], [3, 3, 2, 5, 7]])
    targets = torch.tensor([8, 1])
    scores = network(ids).tolist()
    expected = sum(cross_entropy(row, int(target)) for row, target in zip(scores, targets, strict=True)) / 2
    assert next_item_loss(network, TrainingBatch(ids, targets)).item() == pytest.approx(expected, rel=1e-10)
    # The same as a loss at every position that has a target at the newest one only.
    only = torch.zeros_like(ids)
    only[:, -1] = targets
    assert next_item_loss(network, TrainingBatch(ids, only)).item() == pytest.approx(expected, rel=1e-10)


@torch.no_grad()
@pytest.mark.parametrize("padding", [1, 4])
def test_padding_does_not_count(network: EASRecSpace, padding: int) -> None:
    ids, targets = torch.tensor([[4, 1, 9], [2, 5, 7]]), torch.tensor([[1, 9, 8], [5, 7, 1]])
    nothing = torch.zeros(2, padding, dtype=torch.long)
    alone = next_item_loss(network, TrainingBatch(ids, targets))
    padded = TrainingBatch(torch.cat([nothing, ids], 1), torch.cat([nothing, targets], 1))
    assert next_item_loss(network, padded).item() == pytest.approx(alone.item(), rel=1e-10)


@torch.no_grad()
def test_positions_weigh_the_same_whatever_their_sequence(network: EASRecSpace) -> None:
    # A mean over positions, not a mean over sequences of means.
    long, short = (
        (torch.tensor([[4, 1, 9, 2]]), torch.tensor([[1, 9, 2, 3]])),
        (torch.tensor([[5]]), torch.tensor([[7]])),
    )
    losses = [next_item_loss(network, TrainingBatch(*sequence)).item() for sequence in (long, short)]
    pad = torch.zeros(1, 3, dtype=torch.long)
    both = TrainingBatch(*(torch.cat([a, torch.cat([pad, b], 1)]) for a, b in zip(long, short, strict=True)))
    assert next_item_loss(network, both).item() == pytest.approx((4 * losses[0] + losses[1]) / 5, rel=1e-10)


def test_every_item_but_padding_gets_a_gradient(network: EASRecSpace) -> None:
    ids, targets = torch.tensor([[0, 4, 1]]), torch.tensor([[0, 1, 9]])
    next_item_loss(network, TrainingBatch(ids, targets)).backward()
    gradient = network.embedding.items.weight.grad
    assert gradient is not None
    assert (gradient[0] == 0).all()
    assert (gradient[1:] != 0).any(dim=1).all()
    # Against a finite difference at one weight.
    weight, step = network.embedding.items.weight, 1e-6
    sides = []
    for sign in (1, -1):
        with torch.no_grad():
            weight[4, 2] += sign * step
            sides.append(next_item_loss(network, TrainingBatch(ids, targets)).item())
            weight[4, 2] -= sign * step
    assert gradient[4, 2].item() == pytest.approx((sides[0] - sides[1]) / (2 * step), rel=1e-4)


@torch.no_grad()
def test_an_untrained_network_is_as_good_as_guessing() -> None:
    network = EASRecSpace(SpaceConfig(**SIZES | {"n_items": 5000})).eval()
    ids, targets = torch.arange(1, 61).view(10, 6), torch.arange(101, 161).view(10, 6)
    loss = next_item_loss(network.freeze(network.config.largest), TrainingBatch(ids, targets)).item()
    assert loss == pytest.approx(math.log(5000), rel=0.01)
