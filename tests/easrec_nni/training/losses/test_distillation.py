"""Distillation against torch's own losses on all scores, and against finite differences."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from easrec_nni.data.batches.training import TrainingBatch
from easrec_nni.training.losses import Distilled, distilled_cross_entropy, make_loss, next_item_loss
from easrec_nni.training.losses import chunks as chunks_module
from easrec_nni.training.losses.soft_targets import SoftTargets, StateTargets, TopTargets

P, N = 7, 40
WEIGHTS = pytest.mark.parametrize("weight", [0.3, 0.7, 1.0])
TEMPERATURES = pytest.mark.parametrize("temperature", [0.5, 1.0, 4.0])


@pytest.fixture(params=[3, 256], ids=["chunks of 3", "one chunk"])
def chunks(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunks_module, "chunk_size", lambda *sizes: request.param)


def problem(dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """States, item vectors and targets of a network; states and item vectors of a wider teacher."""
    torch.manual_seed(4)
    states = torch.randn(P, 6, dtype=dtype, requires_grad=True)
    items = torch.randn(N, 6, dtype=dtype, requires_grad=True)
    return states, items, torch.randint(N, (P,)), torch.randn(P, 9, dtype=dtype), torch.randn(N, 9, dtype=dtype)


def plain(scores: Tensor, targets: Tensor, teacher: Tensor, weight: float, temperature: float) -> Tensor:
    """Reference: cross entropy, and KL divergence plus the teacher's entropy, on all scores at once."""
    q = (teacher / temperature).softmax(1)
    kl = F.kl_div((scores / temperature).log_softmax(1), q, reduction="batchmean")
    entropy = torch.special.entr(q).sum(1).mean()
    return (1 - weight) * F.cross_entropy(scores, targets) + weight * temperature**2 * (kl + entropy)


@WEIGHTS
@TEMPERATURES
def test_loss_and_gradients_are_those_of_torch_on_all_scores(weight: float, temperature: float, chunks: None) -> None:
    states, items, targets, of_teacher, items_of_teacher = problem()
    expected = plain(states @ items.T, targets, of_teacher @ items_of_teacher.T, weight, temperature)
    wanted = torch.autograd.grad(0.3 * expected, (states, items))
    soft = StateTargets(of_teacher, items_of_teacher / temperature)
    loss = distilled_cross_entropy(states, items, targets, soft, weight, temperature)
    for _ in range(2):  # a graph that is kept gives the same again
        found = torch.autograd.grad(0.3 * loss, (states, items), retain_graph=True)
        for ours, theirs in zip((loss, *found), (expected, *wanted), strict=True):
            torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)


@TEMPERATURES
def test_the_best_items_of_all_are_all(temperature: float, chunks: None) -> None:
    states, items, targets, of_teacher, items_of_teacher = problem()
    q = (of_teacher @ items_of_teacher.T / temperature).softmax(1)
    top = q.topk(N)
    found = distilled_cross_entropy(states, items, targets, TopTargets(top.indices, top.values), 0.6, temperature)
    expected = plain(states @ items.T, targets, of_teacher @ items_of_teacher.T, 0.6, temperature)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)
    for ours, theirs in zip(*(torch.autograd.grad(each, (states, items)) for each in (found, expected)), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-12)


def top_of(padded: bool) -> TopTargets:
    """Five items of each position, or three and a repetition without probability."""
    _, _, _, of_teacher, items_of_teacher = problem()
    top = (of_teacher @ items_of_teacher.T).softmax(1).topk(5)
    items, probabilities = top.indices.clone(), top.values.clone()
    if padded:
        items[:, 3:], probabilities[:, 3:] = items[:, :1], 0.0
    return TopTargets(items, probabilities)


@TEMPERATURES
@pytest.mark.parametrize("padded", [False, True])
def test_items_that_are_not_given_count_as_one_outcome(temperature: float, padded: bool, chunks: None) -> None:
    states, items, targets, *_ = problem()
    top = top_of(padded)
    total = 0.0
    scores = (states @ items.T).tolist()
    for position in range(P):
        exponents = [math.exp(score / temperature) for score in scores[position]]
        p = [value / sum(exponents) for value in exponents]
        q = {int(i): float(v) for i, v in zip(top.items[position], top.probabilities[position], strict=True) if v > 0}
        rest = 1 - sum(p[i] for i in q)
        soft = -sum(v * math.log(p[i]) for i, v in q.items()) - (1 - sum(q.values())) * math.log(rest)
        plain_p = math.exp(scores[position][int(targets[position])]) / sum(math.exp(s) for s in scores[position])
        total += -0.4 * math.log(plain_p) + 0.6 * temperature**2 * soft
    found = distilled_cross_entropy(states, items, targets, top, 0.6, temperature)
    assert found.item() == pytest.approx(total / P, rel=1e-12)


@TEMPERATURES
@pytest.mark.parametrize("kind", ["states", "top", "padded"])
def test_gradients_are_those_of_finite_differences(kind: str, temperature: float, chunks: None) -> None:
    states, items, targets, of_teacher, items_of_teacher = problem()
    soft: SoftTargets = StateTargets(of_teacher, items_of_teacher) if kind == "states" else top_of(kind == "padded")
    assert torch.autograd.gradcheck(
        lambda s, i: distilled_cross_entropy(s, i, targets, soft, 0.7, temperature), (states, items)
    )


@pytest.mark.parametrize("scale", [1e-3, 300.0], ids=["flat", "certain"])
def test_extreme_scores_stay_finite(scale: float) -> None:
    states, items, targets, of_teacher, items_of_teacher = problem(torch.float32)
    top = (scale * of_teacher @ items_of_teacher.T).softmax(1).topk(5)
    for soft in (StateTargets(of_teacher * scale, items_of_teacher), TopTargets(top.indices, top.values)):
        loss = distilled_cross_entropy(scale * states, items, targets, soft, 0.7)
        assert loss.isfinite() and all(g.isfinite().all() for g in torch.autograd.grad(loss, (states, items)))


def test_bfloat16_rounds_the_products_alone() -> None:
    states, items, targets, of_teacher, items_of_teacher = problem(torch.float32)
    rounded = [each.bfloat16().float() for each in (states, items, of_teacher, items_of_teacher)]
    products = [(rounded[place] @ rounded[place + 1].T).bfloat16().float() for place in (0, 2)]
    expected = plain(products[0], targets, products[1], 0.7, 1.0)
    with torch.autocast("cpu", torch.bfloat16):
        loss = distilled_cross_entropy(states, items, targets, StateTargets(of_teacher, items_of_teacher), 0.7)
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, expected, rtol=1e-5, atol=1e-5)
    gradients = torch.autograd.grad(loss, (states, items))
    exact = torch.autograd.grad(
        plain(states @ items.T, targets, of_teacher @ items_of_teacher.T, 0.7, 1.0), (states, items)
    )
    for ours, theirs in zip(gradients, exact, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0.1, atol=0.01)


def largest_allocation(positions: int) -> int:
    """Size in bytes of the largest allocation of a loss and its gradients, for 2,000 items."""
    torch.manual_seed(0)
    states, items = torch.randn(positions, 4, requires_grad=True), torch.randn(2000, 4, requires_grad=True)
    soft = StateTargets(torch.randn(positions, 8), torch.randn(2000, 8))
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as profile:
        distilled_cross_entropy(states, items, torch.randint(2000, (positions,)), soft, 0.7).backward()
    return max(event.cpu_memory_usage for event in profile.events())


def test_memory_does_not_grow_with_the_positions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunks_module, "chunk_size", lambda *sizes: 10)
    assert largest_allocation(600) <= 4 * 10 * 2000 + 64
    monkeypatch.setattr(chunks_module, "chunk_size", lambda *sizes: 600)
    assert largest_allocation(600) >= 4 * 600 * 2000


class EvenPlaces:
    """Teacher that covers even places alone; counts what it was asked."""

    def __init__(self, states: Tensor, items: Tensor) -> None:
        self.states, self.items = states, items

    def at(self, places: Tensor) -> tuple[Tensor, SoftTargets]:
        covered = places % 2 == 0
        return covered, StateTargets(self.states[places[covered]], self.items)


@pytest.mark.parametrize("places", [[0, 2, 4, 6, 2], [0, 1, 2, 3, 4], [1, 3, 5, 1, 3]], ids=["all", "some", "none"])
@pytest.mark.parametrize(("name", "smoothing"), [("softmax", 0), ("softmax", 0.2), ("sampled_softmax", 0), ("gbce", 0)])
def test_positions_without_a_teacher_have_the_loss_alone(
    name: str, smoothing: float, places: list[int], seven: Any, states: Tensor, targets: Tensor
) -> None:
    torch.manual_seed(0)
    teacher = EvenPlaces(torch.randn(8, 3, dtype=torch.float64), torch.randn(7, 3, dtype=torch.float64))
    loss, negatives = make_loss(name, 7, label_smoothing=smoothing), torch.tensor([2, 5])
    found = Distilled(loss, teacher, 0.7, 2.0)(seven, states, targets, negatives, torch.tensor(places))
    terms = []
    for state, target, place in zip(states, targets, places, strict=True):
        hard = loss(seven, state[None], target[None], negatives)
        if place % 2 == 0:
            q = (teacher.states[place] @ teacher.items.T / 1.0).softmax(0)
            soft = -(q * (state @ seven.table[1:].T / 2.0).log_softmax(0)).sum()
            hard = 0.3 * hard + 0.7 * 4.0 * soft
        terms.append(hard)
    assert found.item() == pytest.approx(torch.stack(terms).mean().item(), rel=1e-12)


def test_smoothed_targets_keep_their_smoothing_beside_a_teacher(seven: Any, states: Tensor, targets: Tensor) -> None:
    torch.manual_seed(0)
    teacher = EvenPlaces(torch.randn(8, 3, dtype=torch.float64), torch.randn(7, 3, dtype=torch.float64))
    places, scores = torch.tensor([0, 1, 2, 4, 6]), states @ seven.table[1:].T
    weights = 0.7 * (places % 2 == 0).double()
    hard = F.cross_entropy(scores, targets - 1, reduction="none", label_smoothing=0.2)
    soft = F.cross_entropy(scores, (teacher.states[places] @ teacher.items.T).softmax(1), reduction="none")
    expected = ((1 - weights) * hard + weights * soft).mean()
    loss = Distilled(make_loss("softmax", 7, label_smoothing=0.2), teacher, 0.7)(seven, states, targets, None, places)
    found, wanted = (torch.autograd.grad(value, (states, seven.table)) for value in (loss, expected))
    for ours, theirs in zip((loss, *found), (expected, *wanted), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)


def test_a_batch_without_places_is_refused(seven: Any, states: Tensor, targets: Tensor) -> None:
    teacher = EvenPlaces(torch.zeros(1, 3), torch.zeros(7, 3))
    with pytest.raises(ValueError, match="places of the log, and the batch has none"):
        next_item_loss(
            type("Network", (), {"newest_state": lambda self, ids: states, "item_vectors": seven.item_vectors})(),
            TrainingBatch(torch.ones(5, 2, dtype=torch.long), targets),
            Distilled(make_loss("softmax", 7), teacher, 0.5),
        )
