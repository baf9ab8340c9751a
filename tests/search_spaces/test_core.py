"""CORE's head against its formulas, position by position."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from search_spaces import EASRecSpace, SpaceConfig
from search_spaces.candidates import WidthMasks
from strategies import STRATEGIES
from tests.search_spaces.spaces import random_space

N_ITEMS = 15
SMALL: dict[str, Any] = {
    "n_items": N_ITEMS,
    "max_length": 9,
    "hidden": 16,
    "inner": 24,
    "heads": 2,
    "layers": 2,
    "head": "core",
}
IDS = torch.tensor([[0, 0, 0, 0, 0, 9, 3, 3, 12], [1, 2, 3, 4, 5, 6, 7, 8, 9], [4, 0, 2, 7, 0, 0, 0, 0, 0]])


def make_space(**options: Any) -> EASRecSpace:
    """Space in float64 with random weights, in eval mode."""
    return random_space(SpaceConfig(**SMALL | options), dtype=torch.float64)


def make_network(**options: Any) -> EASRecSpace:
    space = make_space(**options)
    return space.freeze(space.config.largest)


def session(network: EASRecSpace, states: Tensor, ids: Tensor, seen: list[int]) -> Tensor:
    """Sum of the items at the seen positions, weighted by the transformer's states there."""
    assert network.head is not None
    exponents = [math.exp(float(states[t] @ network.head.energy.weight[0])) for t in seen]
    total = torch.zeros(network.config.hidden, dtype=torch.float64)
    for exponent, t in zip(exponents, seen, strict=True):
        total += exponent / sum(exponents) * network.embedding.items.weight[ids[t]]
    return total


@torch.no_grad()
@pytest.mark.parametrize("temperature", [0.07, 0.5])
@pytest.mark.parametrize("direction", ["causal", "bidirectional"])
def test_scores_are_cosines_of_the_session_and_the_items_over_the_temperature(
    direction: str, temperature: float
) -> None:
    network = make_network(direction=direction, core_temperature=temperature)
    batch = network.embedding.embed(IDS)
    states = network.layers(None, batch)
    scores, at_all = network(IDS), network.score(network.states(IDS))
    for row, ids in enumerate(IDS):
        places = ids.nonzero().flatten().tolist()
        for t in places:
            seen = [s for s in places if s <= t] if direction == "causal" else places
            vector = session(network, states[row], ids, seen)
            for item in range(1, N_ITEMS + 1):
                expected = F.cosine_similarity(vector, network.embedding.items.weight[item], dim=0) / temperature
                torch.testing.assert_close(at_all[row, t, item], expected, rtol=1e-9, atol=1e-10)
        torch.testing.assert_close(scores[row], at_all[row, places[-1]], rtol=1e-9, atol=1e-10)
    assert (scores[:, 0] == -torch.inf).all()
    assert scores[:, 1:].abs().max() <= 1 / temperature
    assert (scores[0] - scores[1])[1:].abs().max() > 0.1 / temperature


@torch.no_grad()
@pytest.mark.parametrize("options", [{}, {"direction": "bidirectional"}, {"supernet": "shared"}])
def test_score_is_the_product_with_the_item_vectors(options: dict[str, Any]) -> None:
    for network in (make_network(**options), make_space(**options)):
        states = network.newest_state(IDS)
        vectors = network.item_vectors()
        assert vectors.shape == (N_ITEMS, network.config.hidden)
        torch.testing.assert_close(states.norm(dim=-1), torch.ones(len(IDS), dtype=torch.float64))
        torch.testing.assert_close(vectors.norm(dim=-1) * 0.07, torch.ones(N_ITEMS, dtype=torch.float64))
        torch.testing.assert_close(states @ vectors.T, network.score(states)[:, 1:])


@torch.no_grad()
def test_only_the_direction_of_an_items_embedding_is_scored() -> None:
    network = make_network()
    before = network(IDS)
    network.embedding.items.weight[15] *= 3  # in none of the sessions
    torch.testing.assert_close(network(IDS), before)


@torch.no_grad()
@pytest.mark.parametrize("size", [20.0, 1e4])
def test_large_weights_of_a_position_give_numbers_and_hide_no_earlier_session(size: float) -> None:
    # In float32: the newest position's weight is e^size times the others'.
    network = make_network(positions="from_start").float()
    assert network.head is not None
    states = network.layers(None, network.embedding.embed(IDS))
    # Component of the newest state that is orthogonal to the others, whose weights are then 1.
    others = states[1, :-1].T
    component = states[1, -1] - others @ torch.linalg.lstsq(others, states[1, -1]).solution
    energy = network.head.energy.weight
    energy.copy_(component / (component @ states[1, -1]) * size)
    sessions = network.states(IDS)
    assert sessions.isfinite().all()
    assert (states[1, :-1] @ energy[0]).abs().max() < size * 1e-3
    clipped = (states[1].double() @ energy[0].double()).clamp(-30, 30)
    for t in range(IDS.shape[1]):
        alpha = clipped[: t + 1].softmax(0)
        vector = (alpha[:, None] * network.embedding.items.weight[IDS[1, : t + 1]].double()).sum(0)
        torch.testing.assert_close(sessions[1, t].double(), vector / vector.norm(), rtol=0, atol=1e-3)


def test_dropout_of_items_is_one_draw_for_the_encoder_and_the_sum_and_another_for_the_candidates() -> None:
    network = make_network(dropout=0.5).train()
    assert network.embedding.positions is not None
    batch = network.embedding.embed(IDS)
    assert batch.items is not None
    dropped = (batch.items == 0) & (network.embedding.items(IDS) != 0)
    assert 0.3 < dropped[IDS != 0].double().mean() < 0.7
    positions = network.embedding.positions(torch.arange(8, -1, -1))
    torch.testing.assert_close(batch.embedding[1], batch.items[1] + positions)
    one, other = network.item_vectors(), network.item_vectors()
    assert 0.3 < (one == 0).double().mean() < 0.7
    assert not torch.equal(one, other)
    network.eval()
    assert torch.equal(network.item_vectors(), network.item_vectors())
    assert (network.item_vectors() != 0).all()


@torch.no_grad()
def test_a_session_without_items_scores_all_alike() -> None:
    scores = make_network()(torch.zeros(1, 4, dtype=torch.long))
    assert (scores[:, 1:] == 0).all()


def test_width_masks_are_mixed_like_the_candidates() -> None:
    space = make_space()
    assert space.head is not None
    width_masks = space.head.width_mask
    assert isinstance(width_masks, WidthMasks)
    like = torch.zeros(3, 16)
    masks = torch.stack([width_masks.run(index, like) for index in range(9)])
    widths = [space.config.hidden_width(hidden) for hidden, _ in space.config.candidates]
    assert masks.sum(1).tolist() == widths
    assert (masks.diff(dim=1) <= 0).all()
    weights = torch.rand(9).softmax(0).requires_grad_()
    torch.testing.assert_close(width_masks.mix(weights, like), (weights[:, None] * masks).sum(0))
    (gradient,) = torch.autograd.grad(width_masks.mix(weights, like)[-1], weights)
    assert gradient.tolist() == masks[:, -1].tolist()
    assert list(width_masks.names) == [label for label in space.simplify()["pruning"].values]


@pytest.mark.parametrize("name", STRATEGIES)
def test_every_strategy_mixes_layers_and_head_and_gets_gradients_of_both(name: str) -> None:
    space = make_space(supernet="shared").float()
    strategy = STRATEGIES[name](cost_table={})
    strategy.mutate_model(space)
    selection = strategy.selection
    assert selection is not None
    torch.manual_seed(1)
    selection.draw()
    loss = F.cross_entropy(space(IDS)[:, 1:], torch.tensor([3, 1, 14]))
    assert loss.isfinite()
    gradients = torch.autograd.grad(loss, list(selection.logits.values()), retain_graph=True)
    assert all(gradient.isfinite().all() and (gradient != 0).any() for gradient in gradients)
    assert space.head is not None
    (energy,) = torch.autograd.grad(loss, [space.head.energy.weight])
    assert (energy != 0).any()
    # Hard, it is the frozen network of the strongest options.
    selection.hard = True
    frozen = space.freeze(space.config.choice(selection.sample()))
    torch.testing.assert_close(space(IDS), frozen(IDS), rtol=0, atol=1e-4)


@pytest.mark.parametrize(
    "options, words",
    [
        ({"objective": "masked", "direction": "bidirectional"}, "set objective='next'"),
        (
            {
                "features": "fused",
                "feature_sizes": [3],
                "feature_values": [1],
                "hidden_pruning": [0],
                "inner_pruning": [0],
                "min_depth": 2,
            },
            "head='core' does not support item features: set features='none'",
        ),
        ({"core_temperature": 0}, "core_temperature"),
    ],
)
def test_what_core_cannot_be_is_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        SpaceConfig(**SMALL | options)
