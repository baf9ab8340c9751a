"""GumbelDARTS: independent draws per layer, and the constraint under these draws."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from scipy.stats import chisquare
from torch import Tensor

from search_spaces import EASRecSpace, SpaceConfig
from strategies import GumbelDARTS
from strategies.gumbeldarts import LayerwiseSelection

ALPHA, BETA = [0.0, 1.0, -0.5], [0.5, 0.0, -0.5]
DRAWS = 3000


@pytest.fixture
def selection(cost_table: Any, sums: Any, soften: Any) -> LayerwiseSelection:
    drawn: LayerwiseSelection = soften(GumbelDARTS(cost_table), sums()).selection
    with torch.no_grad():
        drawn.logits["pruning"].copy_(torch.tensor(ALPHA))
        drawn.logits["depth"].copy_(torch.tensor(BETA))
    return drawn


def test_layers_draw_independently_each_by_the_softmax_of_the_shared_logits(selection: LayerwiseSelection) -> None:
    torch.manual_seed(0)
    joint = torch.zeros(3, 3, 3, 3)
    for _ in range(DRAWS):
        selection.draw(differentiable=False)
        strongest = selection.by_layer["pruning"].argmax(-1).tolist()
        joint[(*strongest, int(selection.weights["depth"].argmax()))] += 1
    p, q = torch.tensor(ALPHA).softmax(0), torch.tensor(BETA).softmax(0)
    expected = torch.einsum("a,b,c,d->abcd", p, p, p, q).double()
    expected = expected / expected.sum() * DRAWS
    # 81 cells, all of them with more than 5 expected counts but the rarest, which chi-square forgives at this size.
    assert chisquare(joint.double().flatten().numpy(), expected.flatten().numpy()).pvalue > 0.001


def test_soft_draws_of_two_layers_are_not_correlated(selection: LayerwiseSelection) -> None:
    torch.manual_seed(1)
    rows = []
    for _ in range(DRAWS):
        selection.draw(differentiable=False)
        rows.append(selection.by_layer["pruning"][:, 0].clone())
    correlation = torch.corrcoef(torch.stack(rows).T)
    assert (correlation - torch.eye(3)).abs().max() < 4 / DRAWS**0.5


def test_the_constraint_gets_the_mean_of_the_layers_draws(selection: LayerwiseSelection) -> None:
    torch.manual_seed(2)
    drawn = selection.draw()
    rows = selection.by_layer["pruning"]
    assert rows.shape == (3, 3)
    torch.testing.assert_close(drawn["pruning"], rows.mean(0))
    torch.testing.assert_close(drawn["depth"], selection.by_layer["depth"][0])
    assert drawn["depth"].shape == (3,)
    assert len({tuple(row.tolist()) for row in rows}) == 3
    # A gradient reaches the shared logits from every layer: (delta_ij - w_j) w_i / tau, summed over layers.
    gradient = torch.autograd.grad(rows[:, 0].sum(), selection.logits["pruning"])[0]
    detached = rows.detach()
    torch.testing.assert_close(gradient, (detached[:, :1] * (torch.eye(3)[0] - detached)).sum(0))


def test_the_network_is_mixed_with_the_layers_own_draws(cost_table: Any, sums: Any, soften: Any) -> None:
    space = sums()
    module = soften(GumbelDARTS(cost_table), space)
    torch.manual_seed(3)
    q = module.selection.draw()["depth"]
    steps = module.selection.by_layer["pruning"] @ torch.tensor([0.1, 0.5, 1.0])  # [layers]
    expected = (q * steps.cumsum(0)).sum()
    torch.testing.assert_close(space(torch.zeros(1))[0], expected)


def test_every_layer_of_the_real_space_has_a_draw(soften: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    config = SpaceConfig(n_items=12, max_length=5, hidden=8, inner=16, heads=2, layers=3, supernet="shared")
    space = EASRecSpace(config).eval()
    table = {f"hidden{h}_inner{i}": dict.fromkeys((1, 2, 3), 1.0) for h in (0, 25, 50) for i in (0, 25, 50)}
    module = soften(GumbelDARTS(table), space)
    seen: list[Tensor] = []
    for candidates in space.blocks():
        original = candidates.mix
        monkeypatch.setattr(
            candidates, "mix", lambda weights, *inputs, mix=original: seen.append(weights) or mix(weights, *inputs)
        )
    space(torch.tensor([[1, 2, 3]]))  # before anything is drawn, all layers have the probabilities
    assert all(torch.equal(weights, torch.full((9,), 1 / 9)) for weights in seen)
    module.selection.draw()
    space(torch.tensor([[1, 2, 3]]))
    rows = module.selection.by_layer["pruning"]
    assert len(seen) == 6
    assert all(torch.equal(weights, row) for weights, row in zip(seen[3:], rows, strict=True))


def test_draws_are_reproducible_and_sharpen_with_the_temperature(selection: LayerwiseSelection) -> None:
    torch.manual_seed(4)
    first = selection.draw(differentiable=False)["pruning"]
    second = selection.draw(differentiable=False)["pruning"]
    torch.manual_seed(4)
    assert torch.equal(selection.draw(differentiable=False)["pruning"], first)
    assert not torch.equal(first, second)
    assert not first.requires_grad
    selection.temperature = 1e-4
    selection.draw()
    torch.testing.assert_close(selection.by_layer["pruning"].max(-1).values, torch.ones(3))
