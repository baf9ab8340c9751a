"""Contract of every registered loss: formula by plain loops, gradients, padding, extremes."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from easrec_nni.data.batches.training import TrainingBatch
from easrec_nni.training.losses import LOSSES, ItemLoss, make_loss, next_item_loss
from search_spaces import EASRecSpace, SpaceConfig

EVERY = pytest.mark.parametrize("name", LOSSES)
N_ITEMS = 7


def softmax_at(scores: list[float], target: int, negatives: list[int], t: float) -> float:
    """Reference softmax loss of one position: negative log-probability of the target."""
    return math.log(sum(math.exp(score) for score in scores[1:])) - scores[target]


def sampled_softmax_at(scores: list[float], target: int, negatives: list[int], t: float) -> float:
    """Reference sampled softmax of one position: hits are dropped, other negatives weigh 1 / Q."""
    others = [item for item in negatives if item != target]
    share = len(others) / (N_ITEMS - 1)
    return math.log(math.exp(scores[target]) + sum(math.exp(scores[item]) / share for item in others)) - scores[target]


def gbce_at(scores: list[float], target: int, negatives: list[int], t: float) -> float:
    """Reference gBCE of one position, as published; a hit's weight goes to the other negatives."""

    def sigmoid(score: float) -> float:
        return 1 / (1 + math.exp(-score))

    count = min(len(negatives), N_ITEMS - 1)
    alpha = count / (N_ITEMS - 1)
    beta = alpha * (t * (1 - 1 / alpha) + 1 / alpha)
    others = [item for item in negatives if item != target]
    against = sum(math.log(1 - sigmoid(scores[item])) for item in others) * count / max(1, len(others))
    return -(math.log(sigmoid(scores[target]) ** beta) + against) / (count + 1)


# Loss of one position from its scores by item number. A loss that is registered without a reference here fails.
REFERENCES: dict[str, Callable[[list[float], int, list[int], float], float]] = {
    "softmax": softmax_at,
    "sampled_softmax": sampled_softmax_at,
    "gbce": gbce_at,
}


class Vectors:
    """Network that consists only of item vectors."""

    def __init__(self, table: Tensor) -> None:
        self.table = table

    def item_vectors(self, ids: Tensor | None = None) -> Tensor:
        return self.table[1:] if ids is None else self.table[ids]


@EVERY
@pytest.mark.parametrize("t", [0.0, 0.75, 1.0])
@pytest.mark.parametrize("negatives", [[5], [3], [3, 5], [1, 2, 3], [7, 6, 5, 4, 3, 2, 1]], ids=str)
def test_it_is_the_mean_of_a_plain_loop_over_positions(
    name: str, negatives: list[int], t: float, seven: Any, states: Tensor, targets: Tensor
) -> None:
    terms = []
    for state, target in zip(states.tolist(), targets.tolist(), strict=True):
        scores = [sum(a * b for a, b in zip(state, vector, strict=True)) for vector in seven.table.tolist()]
        terms.append(REFERENCES[name](scores, target, negatives, t))
    result = make_loss(name, N_ITEMS, t)(seven, states, targets, torch.tensor(negatives))
    assert result.shape == () and result.item() == pytest.approx(sum(terms) / len(terms), rel=1e-12)


@EVERY
@pytest.mark.parametrize("negatives", [[4, 5], [3, 5], [1, 2, 3, 4, 5, 6, 7]], ids=str)
def test_gradients_are_those_of_finite_differences(
    name: str, negatives: list[int], seven: Any, states: Tensor, targets: Tensor
) -> None:
    loss = make_loss(name, N_ITEMS)

    def function(states: Tensor, table: Tensor) -> Tensor:
        return loss(Vectors(table), states, targets, torch.tensor(negatives))

    assert torch.autograd.gradcheck(function, (states, seven.table))


@EVERY
def test_a_step_down_scores_the_target_higher(name: str, seven: Any, states: Tensor, targets: Tensor) -> None:
    loss = make_loss(name, N_ITEMS)
    for state, target in zip(states, targets, strict=True):
        alone = loss(seven, state[None], target[None], torch.tensor([5, 6]))
        (gradient,) = torch.autograd.grad(alone, seven.table)
        assert gradient[target] @ state < 0, "its vector moves towards the state"
        assert gradient[5] @ state > 0 and gradient[6] @ state > 0, "and those of others away from it"
        assert (gradient[0] == 0).all(), "padding has no part in it"


@EVERY
def test_positions_weigh_the_same_and_negatives_have_no_order(
    name: str, seven: Any, states: Tensor, targets: Tensor
) -> None:
    loss, negatives = make_loss(name, N_ITEMS), torch.tensor([2, 5, 6])
    whole = loss(seven, states, targets, negatives)
    parts = [loss(seven, states[part], targets[part], negatives) for part in (slice(0, 2), slice(2, 5))]
    assert whole.item() == pytest.approx((2 * parts[0].item() + 3 * parts[1].item()) / 5, rel=1e-12)
    assert loss(seven, states, targets, negatives.flip(0)).item() == pytest.approx(whole.item(), rel=1e-12)
    assert loss(seven, states, targets, negatives).item() == whole.item()


@EVERY
@pytest.mark.parametrize("size", [0.0, 1e2, 1e4])
def test_extreme_scores_give_numbers_and_gradients(name: str, size: float) -> None:
    torch.manual_seed(0)
    states = (size * torch.randn(5, 4)).requires_grad_()
    table = torch.randn(N_ITEMS + 1, 4, requires_grad=True)
    loss = make_loss(name, N_ITEMS)(Vectors(table), states, torch.tensor([1, 2, 3, 4, 5]), torch.tensor([1, 6]))
    assert loss.isfinite() and loss >= 0
    assert all(gradient.isfinite().all() for gradient in torch.autograd.grad(loss, (states, table)))


@EVERY
@pytest.mark.parametrize("padding", [1, 4])
def test_padding_and_the_weight_of_a_batch(name: str, padding: int) -> None:
    torch.manual_seed(0)
    sizes: dict[str, Any] = {"n_items": 9, "max_length": 7, "hidden": 8, "inner": 16, "heads": 2, "layers": 2}
    network = EASRecSpace(SpaceConfig(**sizes)).eval().double()
    network = network.freeze(network.config.largest)
    ids, targets = torch.tensor([[4, 1, 9], [2, 5, 7]]), torch.tensor([[1, 9, 8], [5, 7, 1]])
    loss, negatives, nothing = make_loss(name, 9), torch.tensor([3, 6, 8]), torch.zeros(2, padding, dtype=torch.long)
    alone = next_item_loss(network, TrainingBatch(ids, targets, negatives), loss)
    padded = TrainingBatch(torch.cat([nothing, ids], 1), torch.cat([nothing, targets], 1), negatives)
    assert next_item_loss(network, padded, loss).item() == pytest.approx(alone.item(), rel=1e-10)
    half = next_item_loss(network, padded._replace(weight=0.5), loss)
    assert half.item() == pytest.approx(0.5 * alone.item(), rel=1e-10)


@EVERY
def test_it_says_what_it_is_and_whether_it_needs_negatives(
    name: str, seven: Any, states: Tensor, targets: Tensor
) -> None:
    loss = make_loss(name, N_ITEMS)
    assert isinstance(loss, ItemLoss) and f"n_items={N_ITEMS}" in repr(loss)
    if loss.needs_negatives:
        with pytest.raises(ValueError, match="WithNegatives"):
            loss(seven, states, targets, None)
    else:
        assert loss(seven, states, targets, None).isfinite()
