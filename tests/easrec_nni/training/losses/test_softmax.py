"""Softmax loss against a cross entropy summed position by position."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from easrec_nni.data import Dataset
from easrec_nni.data.batches.training import TrainingBatch
from easrec_nni.settings.trial import TrialSettings
from easrec_nni.training.context import TrialContext
from easrec_nni.training.losses import Softmax, item_cross_entropy, make_loss, next_item_loss
from easrec_nni.training.losses import softmax as loss_module
from easrec_nni.training.recorded import recorded_training
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
    """Reference cross entropy over items 1 to n, without padding."""
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


@pytest.fixture
def chunked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shrink the limits so that 40 items use chunks of 3 positions."""
    monkeypatch.setattr(loss_module, "LARGEST_SCORES", 0)
    monkeypatch.setattr(loss_module, "states_per_chunk", lambda n_items: 3)


def large_catalogue(positions: int, dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor]:
    torch.manual_seed(1)
    states = torch.randn(positions, 6, dtype=dtype, requires_grad=True)
    items = torch.randn(40, 6, dtype=dtype, requires_grad=True)
    return states, items, torch.randint(0, 40, (positions,))


@pytest.mark.parametrize("positions", [1, 3, 7, 9])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.float64, 1e-12)])
def test_chunks_give_the_loss_and_gradients_of_the_plain_way(
    positions: int, dtype: torch.dtype, tolerance: float, chunked: None
) -> None:
    states, items, targets = large_catalogue(positions, dtype)
    plain = F.cross_entropy(states @ items.T, targets)
    expected = torch.autograd.grad(0.3 * plain, (states, items))
    loss = item_cross_entropy(states, items, targets)
    assert "chunked" in type(loss.grad_fn).__name__
    for _ in range(2):  # a graph that is kept gives the same again
        result = torch.autograd.grad(0.3 * loss, (states, items), retain_graph=True)
        for ours, theirs in zip((loss, *result), (plain, *expected), strict=True):
            assert torch.allclose(ours, theirs, rtol=tolerance, atol=tolerance)
    with torch.no_grad():
        assert item_cross_entropy(states, items, targets).item() == pytest.approx(plain.item(), rel=tolerance)


def test_gradients_of_chunks_are_those_of_finite_differences(chunked: None) -> None:
    states, items, targets = large_catalogue(7, torch.float64)
    assert torch.autograd.gradcheck(lambda s, i: item_cross_entropy(s, i, targets), (states, items))


def test_a_network_trains_alike_in_chunks(network: EASRecSpace, monkeypatch: pytest.MonkeyPatch) -> None:
    ids, targets = torch.tensor([[0, 0, 4, 1, 9], [3, 3, 2, 5, 7]]), torch.tensor([[0, 0, 1, 9, 8], [3, 2, 5, 7, 1]])
    gradients = []
    for largest in (loss_module.LARGEST_SCORES, 0):
        monkeypatch.setattr(loss_module, "LARGEST_SCORES", largest)
        monkeypatch.setattr(loss_module, "states_per_chunk", lambda n_items: max(1, 20 // n_items))
        network.zero_grad()
        next_item_loss(network, TrainingBatch(ids, targets)).backward()
        gradients.append([weight.grad for weight in network.parameters()])
    assert len(gradients[0]) > 10
    for plain, chunks in zip(*gradients, strict=True):
        assert plain is not None and torch.allclose(plain, chunks, rtol=1e-9, atol=1e-12)


def largest_allocation(positions: int, n_items: int) -> int:
    """Size in bytes of the largest allocation of a loss and its gradients."""
    torch.manual_seed(0)
    states, items = (torch.randn(rows, 4, requires_grad=True) for rows in (positions, n_items))
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as profile:
        item_cross_entropy(states, items, torch.randint(0, n_items, (positions,))).backward()
    operators = [
        event for event in profile.events() if event.name in ("aten::empty", "aten::empty_strided", "aten::mm")
    ]
    return max(event.cpu_memory_usage for event in operators)


def test_memory_does_not_grow_with_the_positions(monkeypatch: pytest.MonkeyPatch) -> None:
    matrix = 4 * 600 * 2000
    assert largest_allocation(600, 2000) >= matrix, "the plain way holds all scores"
    monkeypatch.setattr(loss_module, "LARGEST_SCORES", 600 * 2000 - 1)
    monkeypatch.setattr(loss_module, "states_per_chunk", lambda n_items: 10)
    assert largest_allocation(600, 2000) <= 10 * 2000 * 4 + 64
    assert largest_allocation(599, 2000) > matrix / 2, "one position less is small enough for the plain way"


def test_small_catalogues_take_the_plain_way_to_the_last_bit() -> None:
    assert 32 * 50 * 1682 < loss_module.LARGEST_SCORES, "the shipped settings for MovieLens-100K"
    assert loss_module.CHUNK_SCORES <= loss_module.LARGEST_SCORES


@pytest.mark.parametrize(("n_items", "positions"), [(3416, 306), (20_000, 256), (164_532, 203), (10**9, 1)])
def test_chunks_stay_in_a_cache_while_products_stay_large(n_items: int, positions: int) -> None:
    assert loss_module.states_per_chunk(n_items) == positions
    states, items, targets = large_catalogue(50, torch.float32)
    assert item_cross_entropy(states, items, targets).item() == F.cross_entropy(states @ items.T, targets).item()


def test_bfloat16_makes_products_of_a_large_batch_in_bfloat16() -> None:
    """Only the products are rounded to bfloat16, not the softmax and the sums of the gradients."""
    torch.manual_seed(0)
    states, items = torch.randn(700, 8, requires_grad=True), torch.randn(6500, 8, requires_grad=True)
    targets = torch.randint(6500, (700,))
    assert states.shape[0] * items.shape[0] > loss_module.LARGEST_SCORES
    with torch.autocast("cpu", torch.bfloat16):
        loss = item_cross_entropy(states, items, targets)
    loss.backward()
    assert states.grad is not None and items.grad is not None
    rounded = [tensor.detach().bfloat16().double() for tensor in (states, items)]
    scores = (rounded[0] @ rounded[1].T).bfloat16().double()
    expected = sum(float(row.logsumexp(0) - row[target]) for row, target in zip(scores, targets, strict=True)) / 700
    assert float(loss) == pytest.approx(expected, rel=1e-5)  # in float32 it would differ by 8e-5
    probabilities = (scores - scores.logsumexp(1, keepdim=True)).exp() - F.one_hot(targets, 6500)
    for result, wanted in ((states.grad, probabilities @ rounded[1]), (items.grad, probabilities.T @ rounded[0])):
        assert (result - wanted / 700).norm() < 0.01 * (wanted / 700).norm()


@torch.no_grad()
def test_label_smoothing_is_the_cross_entropy_to_the_smoothed_distribution(network: EASRecSpace) -> None:
    ids = torch.tensor([[0, 0, 4, 1, 9], [3, 3, 2, 5, 7]])
    targets = torch.tensor([[0, 0, 1, 9, 8], [3, 2, 5, 7, 1]])
    scores, n_items, share = network.score(network.states(ids)).tolist(), SIZES["n_items"], 0.3
    terms = []
    for row, t in (targets != 0).nonzero().tolist():
        spread = [cross_entropy(scores[row][t], item) * share / n_items for item in range(1, n_items + 1)]
        terms.append((1 - share) * cross_entropy(scores[row][t], int(targets[row, t])) + sum(spread))
    loss = next_item_loss(network, TrainingBatch(ids, targets), make_loss("softmax", n_items, label_smoothing=share))
    assert loss.item() == pytest.approx(sum(terms) / 8, rel=1e-10)


class _Items:
    """Network of item vectors only."""

    def __init__(self, vectors: Tensor) -> None:
        self.vectors = vectors

    def item_vectors(self) -> Tensor:
        return self.vectors


def test_gradients_of_label_smoothing_in_chunks_are_those_of_torch(chunked: None) -> None:
    states, items, targets = large_catalogue(7, torch.float64)
    plain = F.cross_entropy(states @ items.T, targets, label_smoothing=0.2)
    loss = Softmax(len(items), 0.2)(_Items(items), states, targets + 1, None)
    wanted, result = (torch.autograd.grad(value, (states, items)) for value in (plain, loss))
    for ours, theirs in zip((loss, *result), (plain, *wanted), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-12)


def test_label_smoothing_in_bfloat16_has_the_gradients_of_float32() -> None:
    torch.manual_seed(0)
    states, items = torch.randn(50, 8, requires_grad=True), torch.randn(60, 8, requires_grad=True)
    targets = torch.randint(60, (50,))
    wanted = torch.autograd.grad(F.cross_entropy(states @ items.T, targets, label_smoothing=0.2), (states, items))
    with torch.autocast("cpu", torch.bfloat16):
        loss = Softmax(60, 0.2)(_Items(items), states.bfloat16(), targets + 1, None)
    for ours, theirs in zip(torch.autograd.grad(loss, (states, items)), wanted, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0.05, atol=1e-3)


def test_label_smoothing_decides_the_run_and_is_recorded(tiny_dataset: Dataset) -> None:
    plain, smooth = (TrialSettings(data="tiny", label_smoothing=share) for share in (0.0, 0.2))
    contexts = [TrialContext.open(settings, tiny_dataset) for settings in (plain, smooth)]
    assert "label_smoothing" not in contexts[0].identity("retrain"), "folders of earlier versions still open"
    assert contexts[1].identity("retrain")["label_smoothing"] == 0.2
    assert isinstance(loss := contexts[1].loss(), Softmax) and loss.label_smoothing == 0.2
    assert "label_smoothing" not in recorded_training(plain).flat()
    assert recorded_training(smooth).flat()["label_smoothing"] == 0.2
    for wrong in ({"label_smoothing": 1.0}, {"label_smoothing": 0.1, "loss": "gbce"}):
        with pytest.raises(ValueError, match="label_smoothing"):
            TrialSettings(data="tiny", **wrong)
