"""Running sums against one dense layer for each width."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from search_spaces.nested_projections import nested_projections

BATCH, LENGTH, FULL, HEADS = 2, 3, 8, 2


def inputs(parts: int) -> tuple[Tensor, Tensor, Tensor]:
    torch.manual_seed(0)
    shapes = ((BATCH, LENGTH, FULL), (parts * FULL, FULL), (parts * FULL,))
    states, weight, bias = (torch.randn(shape, dtype=torch.float64, requires_grad=True) for shape in shapes)
    return states, weight, bias


def one_by_one(states: Tensor, weight: Tensor, bias: Tensor, widths: list[int]) -> list[Tensor]:
    """Each head's first outputs from the first inputs, by loops."""
    projections = []
    for width in widths:
        head_width = width // HEADS
        rows = [
            [part * FULL + head * FULL // HEADS + number for number in range(head_width)]
            for part in range(len(weight) // FULL)
            for head in range(HEADS)
        ]
        heads = [F.linear(states[..., :width], weight[part, :width], bias[part]) for part in rows]
        projections.append(torch.stack(heads).view(-1, HEADS, BATCH, LENGTH, head_width).transpose(1, 2))
    return projections


@pytest.mark.parametrize("parts", [1, 2, 3])
@pytest.mark.parametrize("widths", [[8], [4, 8], [2, 4, 8], [2, 6]], ids=str)
def test_products_and_gradients_are_those_of_each_width(parts: int, widths: list[int]) -> None:
    tensors, copies = inputs(parts), inputs(parts)
    actual, expected = nested_projections(*tensors, HEADS, widths), one_by_one(*copies, widths)
    weights = [torch.randn_like(part) for part in expected]
    for part, reference in zip(actual, expected, strict=True):
        torch.testing.assert_close(part, reference)
        assert part.is_contiguous()
    for values, leaves in ((actual, tensors), (expected, copies)):
        sum((value * weight).sum() for value, weight in zip(values, weights, strict=True)).backward()
        assert all(tensor.grad is not None for tensor in leaves)
    for one, two in zip(tensors, copies, strict=True):
        torch.testing.assert_close(one.grad, two.grad)


def test_gradients_equal_finite_differences() -> None:
    states, weight, bias = inputs(2)
    assert torch.autograd.gradcheck(
        lambda *all_: tuple(nested_projections(*all_, HEADS, [2, 4, 8])), (states, weight, bias)
    )


def test_frozen_weights_get_no_gradient() -> None:
    """Weights are frozen in a step of alpha and beta."""
    states, weight, bias = inputs(3)
    weight.requires_grad_(False), bias.requires_grad_(False)
    sum(part.sum() for part in nested_projections(states, weight, bias, HEADS, [4, 8])).backward()
    assert states.grad is not None and weight.grad is None and bias.grad is None


def test_what_comes_in_is_not_written_to() -> None:
    """With one position, the gradient already has the layout of the running sums."""
    torch.manual_seed(0)
    states = torch.randn(1, 1, FULL, requires_grad=True)
    weight, bias = torch.randn(3 * FULL, FULL), torch.randn(3 * FULL)
    actual = nested_projections(states, weight, bias, HEADS, [4, 8])
    outer = [torch.randn_like(part) for part in actual]
    before = [gradient.clone() for gradient in outer]
    torch.autograd.grad(actual, states, outer)
    assert all(torch.equal(one, two) for one, two in zip(outer, before, strict=True))
