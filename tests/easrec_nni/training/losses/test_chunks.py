"""Cross entropy under autocast, in chunks, against torch's in one piece and against plain expressions."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from easrec_nni.training.losses import chunks
from easrec_nni.training.losses.chunks import autocast_cross_entropy


@pytest.fixture(params=[3, 7, 100])
def chunk(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(chunks, "chunk_size", lambda *sizes: request.param)
    return int(request.param)


def problem(dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor]:
    torch.manual_seed(0)
    states = torch.randn(17, 8, dtype=dtype, requires_grad=True)
    items = torch.randn(40, 8, dtype=dtype, requires_grad=True)
    return states, items, torch.randint(0, 40, (17,))


@pytest.mark.usefixtures("chunk")
def test_without_rounding_value_and_gradients_are_torchs() -> None:
    states, items, targets = problem(torch.float64)
    loss = 3 * autocast_cross_entropy(states, items, targets)
    expected = 3 * F.cross_entropy(states @ items.T, targets)
    assert loss.item() == pytest.approx(expected.item(), rel=1e-12)
    for one, other in zip(
        torch.autograd.grad(loss, (states, items)), torch.autograd.grad(expected, (states, items)), strict=True
    ):
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-12)


@pytest.mark.usefixtures("chunk")
def test_in_bfloat16_only_the_products_are_rounded() -> None:
    states, items, targets = problem(torch.float32)
    with torch.autocast("cpu", torch.bfloat16):
        loss = autocast_cross_entropy(states, items, targets)
    gradients = torch.autograd.grad(loss, (states, items))
    assert loss.dtype == torch.float32 and [each.dtype for each in gradients] == [torch.float32] * 2
    rounded = [each.detach().bfloat16().double() for each in (states, items)]
    probabilities = (rounded[0] @ rounded[1].T).bfloat16().double().softmax(dim=1)
    expected = -probabilities[torch.arange(17), targets].log().mean()
    assert loss.item() == pytest.approx(expected.item(), rel=1e-6)
    residual = ((probabilities - F.one_hot(targets, 40)).bfloat16()).double()
    exact = residual @ rounded[1] / 17, residual.T @ rounded[0] / 17
    for gradient, plain in zip(gradients, exact, strict=True):
        # The sum of at most 40 terms is rounded to bfloat16 once for each chunk.
        torch.testing.assert_close(gradient.double(), plain, rtol=0, atol=0.01 * plain.abs().max().item())


def test_a_target_without_probability_has_its_exact_loss() -> None:
    states, items = torch.tensor([[1.0, 0.0], [0.0, 1.0]]), torch.tensor([[300.0, 0.0], [0.0, 0.0], [0.0, 2.0]])
    targets = torch.tensor([1, 2])
    expected = F.cross_entropy(states @ items.T, targets)
    assert expected > 150
    assert autocast_cross_entropy(states, items, targets).item() == pytest.approx(expected.item(), rel=1e-6)


def test_states_without_gradients_have_the_same_value() -> None:
    states, items, targets = problem(torch.float64)
    with torch.no_grad():
        loss = autocast_cross_entropy(states, items, targets)
    assert not loss.requires_grad
    assert loss.item() == pytest.approx(autocast_cross_entropy(states, items, targets).item(), rel=1e-15)
