from __future__ import annotations

import pytest
import torch

from search_spaces.dropout import dropout, nested_dropout_masks


@pytest.mark.parametrize("probability", [0.05, 0.2, 0.5, 0.9])
def test_share_and_expectation(probability: float) -> None:
    torch.manual_seed(0)
    out = dropout(torch.ones(400, 1001), probability, training=True)
    rounded = round(256 * probability) / 256
    # 400,400 draws: five standard errors are below 0.004.
    assert (out == 0).float().mean().item() == pytest.approx(rounded, abs=0.004)
    assert out[out != 0].unique().tolist() == pytest.approx([1 / (1 - rounded)])
    assert abs(rounded - probability) <= 1 / 512


def test_draws_are_independent_of_their_place() -> None:
    """All bytes of a random word are equally random, including that of the sign bit."""
    torch.manual_seed(0)
    nonzero = dropout(torch.ones(200_000, 8), 0.5, training=True) != 0
    assert nonzero.float().mean(dim=0).tolist() == pytest.approx([0.5] * 8, abs=0.006)
    correlation = torch.corrcoef(nonzero.float().T) - torch.eye(8)
    assert correlation.abs().max().item() < 0.012


def test_gradient_passes_through_what_is_kept() -> None:
    torch.manual_seed(0)
    states = torch.randn(50, 7, requires_grad=True)
    out = dropout(states, 0.3, training=True)
    out.sum().backward()
    assert states.grad is not None
    torch.testing.assert_close(states.grad * states.detach(), out.detach())


@pytest.mark.parametrize(("probability", "training"), [(0.3, False), (0.0, True)])
def test_nothing_happens(probability: float, training: bool) -> None:
    states = torch.randn(3, 4)
    assert dropout(states, probability, training) is states


def test_the_seed_decides() -> None:
    results = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        results.append(dropout(torch.ones(64), 0.5, training=True))
    assert torch.equal(results[0], results[1])
    assert not torch.equal(results[0], results[2])


def test_masks_of_several_widths_drop_each_its_share_and_nest() -> None:
    torch.manual_seed(0)
    rates = {64: 0.5, 32: 0.25, 48: 0.5, 16: 0.0}
    masks = nested_dropout_masks(torch.ones(5000, 64), rates, training=True)
    assert masks[16] is None
    for width in (64, 48, 32):
        mask = masks[width]
        assert mask is not None and mask.shape == (5000, width)
        assert (mask == 0).double().mean().item() == pytest.approx(rates[width], abs=0.005)
        assert mask.double().mean().item() == pytest.approx(1, abs=0.01)
    wide, narrow = masks[64], masks[32]
    assert wide is not None and narrow is not None
    assert not ((narrow == 0) & (wide[:, :32] != 0)).any()
    assert nested_dropout_masks(torch.ones(3, 64), rates, training=False) == dict.fromkeys(rates)


def test_one_width_draws_what_several_widths_of_one_rate_draw() -> None:
    torch.manual_seed(1)
    alone = nested_dropout_masks(torch.ones(7, 24), {24: 0.3}, training=True)[24]
    torch.manual_seed(1)
    several = nested_dropout_masks(torch.ones(7, 24), {8: 0.3, 24: 0.3}, training=True)
    assert alone is not None and several[24] is not None and several[8] is not None
    assert torch.equal(alone, several[24]) and torch.equal(alone[:, :8], several[8])
