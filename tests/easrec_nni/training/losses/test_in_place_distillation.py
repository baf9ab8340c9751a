"""Cross entropies of several networks at once, against plain expressions and torch's gradients."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from easrec_nni.training.losses import NetworkOutput, in_place_cross_entropy, item_cross_entropy
from easrec_nni.training.losses import in_place_distillation as loss_module

ITEMS, WIDTHS = 40, (8, 4, 6)


def problem(positions: int, dtype: torch.dtype = torch.float64) -> tuple[list[Tensor], list[Tensor], Tensor, Tensor]:
    """States of three networks, their rows, one item table, and targets."""
    torch.manual_seed(positions)
    rows = [torch.arange(positions), torch.arange(0, positions, 2), torch.arange(positions // 3, positions)]
    states = [torch.randn(len(numbers), w, dtype=dtype) for numbers, w in zip(rows, WIDTHS, strict=True)]
    leaves = [*states, torch.randn(ITEMS, WIDTHS[0], dtype=dtype)]
    for leaf in leaves:
        leaf.requires_grad_()
    return leaves[:-1], rows, leaves[-1], torch.randint(ITEMS, (positions,))


def outputs(states: list[Tensor], rows: list[Tensor], items: Tensor) -> list[NetworkOutput]:
    return [NetworkOutput(s, items[:, : s.shape[1]], numbers) for s, numbers in zip(states, rows, strict=True)]


def plain(states: list[Tensor], rows: list[Tensor], items: Tensor, targets: Tensor, weight: float) -> Tensor:
    """The same mean, position by position, with the teacher's distribution detached."""
    teacher = (states[0] @ items.T).softmax(-1).detach()
    means = []
    for number, (network, numbers) in enumerate(zip(states, rows, strict=True)):
        losses = []
        for state, position in zip(network, numbers.tolist(), strict=True):
            log_q = (items[:, : len(state)] @ state).log_softmax(-1)
            goal = F.one_hot(targets[position], ITEMS).double()
            if number:
                goal = (1 - weight) * goal + weight * teacher[position]
            losses.append(-(goal * log_q).sum())
        means.append(torch.stack(losses).mean())
    return torch.stack(means).mean()


@pytest.mark.parametrize("weight", [0.0, 0.7, 1.0])
@pytest.mark.parametrize("chunk", [1, 7, 100])
def test_loss_and_gradients_are_those_of_the_plain_expression(
    weight: float, chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loss_module, "chunk_size", lambda *sizes: chunk)
    states, rows, items, targets = problem(23)
    loss = in_place_cross_entropy(outputs(states, rows, items), targets, weight)
    expected = plain(states, rows, items, targets, weight)
    torch.testing.assert_close(loss, expected)
    leaves = [*states, items]
    for actual, wanted in zip(
        torch.autograd.grad(3 * loss, leaves), torch.autograd.grad(3 * expected, leaves), strict=True
    ):
        torch.testing.assert_close(actual, wanted)


def test_the_teacher_learns_from_targets_alone() -> None:
    states, rows, items, targets = problem(23)
    gradients = [
        torch.autograd.grad(in_place_cross_entropy(outputs(states, rows, items), targets, weight), states)
        for weight in (0.0, 1.0)
    ]
    torch.testing.assert_close(gradients[0][0], gradients[1][0], rtol=0, atol=0)
    assert not torch.allclose(gradients[0][1], gradients[1][1])
    alone = torch.autograd.grad(item_cross_entropy(states[0], items, targets), states[0])[0]
    torch.testing.assert_close(3 * gradients[0][0], alone)


def test_a_network_without_positions_in_a_batch_has_no_gradient() -> None:
    states, rows, items, targets = problem(5)
    empty = NetworkOutput(states[1][:0], items[:, :4], rows[1][:0])
    loss = in_place_cross_entropy([NetworkOutput(states[0], items, rows[0]), empty], targets, 0.5)
    torch.testing.assert_close(2 * loss, item_cross_entropy(states[0], items, targets))
    (gradient,) = torch.autograd.grad(loss, states[1])
    assert gradient.abs().sum() == 0


def test_without_gradients_the_value_is_the_same() -> None:
    states, rows, items, targets = problem(23)
    networks = outputs(states, rows, items)
    with torch.no_grad():
        value = in_place_cross_entropy(networks, targets, 0.7)
    torch.testing.assert_close(value, in_place_cross_entropy(networks, targets, 0.7).detach())


def test_impossible_targets_have_a_finite_loss_and_their_gradient() -> None:
    items = torch.tensor([[1000.0], [0.0]])
    states = torch.ones(1, 1, requires_grad=True)
    loss = in_place_cross_entropy([NetworkOutput(states, items, torch.arange(1))], torch.tensor([1]), 0.0)
    loss.backward()
    assert loss.isfinite() and loss.item() > 80
    assert states.grad is not None and states.grad.item() == pytest.approx(1000.0)


def test_bfloat16_is_close_to_float32_and_its_gradients_have_the_leaves_type() -> None:
    states, rows, items, targets = problem(60, torch.float32)
    leaves = [*states, items]
    exact = in_place_cross_entropy(outputs(states, rows, items), targets, 0.7)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rough = in_place_cross_entropy(outputs(states, rows, items), targets, 0.7)
    assert rough.dtype == torch.float32
    torch.testing.assert_close(rough, exact, rtol=0.02, atol=0)
    for actual, wanted in zip(torch.autograd.grad(rough, leaves), torch.autograd.grad(exact, leaves), strict=True):
        assert actual.dtype == torch.float32
        assert float((actual - wanted).norm() / wanted.norm()) < 0.05
