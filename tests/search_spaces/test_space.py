"""Supernet and frozen networks: a frozen network must equal the supernet at its choice."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from nni.nas.nn.pytorch import ModelSpace
from torch import Tensor

from search_spaces import Choice, EASRecNetwork, EASRecSpace, candidate_label
from search_spaces.block import Block
from search_spaces.candidates import Candidates
from tests.search_spaces.spaces import (
    COVER,
    IDS,
    N_ITEMS,
    make_space,
    make_supernet,
    one_hot,
    soft_weights,
)


@torch.no_grad()
@COVER
def test_frozen_is_the_supernet_at_that_choice_for_every_architecture(options: dict[str, Any]) -> None:
    space = make_space(**options)
    selection = make_supernet(space)
    architectures = space.config.architectures()
    assert len(architectures) == 27
    scores = []
    for choice in architectures:
        weights = one_hot(selection, choice)
        frozen = space.freeze(choice)
        got, states = frozen(IDS), frozen.states(IDS)
        selection.hard = True
        for label, logits in selection.logits.items():
            logits.copy_(weights[label])
        assert space.config.choice(selection.sample()) == choice
        torch.testing.assert_close(got, space(IDS), rtol=0, atol=1e-5)
        # Soft selection at one-hot weights: at every position, not only the newest.
        selection.hard = False
        selection.weights = weights
        width = space.config.item_width or space.config.hidden_width(choice.hidden_pruning)
        soft = space.states(IDS)[IDS != 0]
        torch.testing.assert_close(states[IDS != 0], soft[:, :width], rtol=0, atol=1e-5)
        assert (soft[:, width:] == 0).all()
        scores.append(got[:-1, 1:])
    # The comparison means something only if architectures differ, and by much more than it allows.
    stacked = torch.stack(scores)
    apart = (stacked[:, None] - stacked[None]).abs().amax((2, 3)) + torch.eye(len(scores))
    assert apart.min() > 0.01


@pytest.mark.parametrize("supernet", ["independent", "shared"])
def test_frozen_network_stores_kept_dimensions_only(supernet: str) -> None:
    space = make_space(supernet=supernet)
    full = sum(weight.numel() for weight in space.freeze(space.config.largest).parameters())
    for choice in space.config.architectures():
        frozen = space.freeze(choice)
        width = space.config.hidden_width(choice.hidden_pruning)
        items = frozen.embedding.items.weight
        assert items.shape == (N_ITEMS + 1, width)
        assert torch.equal(items, space.embedding.items.weight[:, :width])
        assert items.untyped_storage().nbytes() == items.numel() * items.element_size()  # no view of the wide table
        if choice != space.config.largest:
            assert sum(weight.numel() for weight in frozen.parameters()) < full


def test_frozen_network_has_weights_of_its_own() -> None:
    space = make_space(supernet="shared")
    frozen = space.freeze(space.config.largest)
    before = frozen(IDS)
    with torch.no_grad():
        for weight in space.parameters():
            weight.zero_()
    assert torch.equal(frozen(IDS), before)


@pytest.mark.parametrize("mode", [True, False])
def test_frozen_network_keeps_mode_and_type(mode: bool) -> None:
    space = make_space().double().train(mode)
    frozen = space.freeze({"hidden_pruning": 0.5, "inner_pruning": 0.25, "depth": 2})
    assert frozen.training is mode
    assert {weight.dtype for weight in frozen.parameters()} == {torch.float64}
    assert all(weight.requires_grad for weight in frozen.parameters())


def naive_mixture(space: EASRecSpace, ids: Tensor, weights: dict[str, Tensor]) -> Tensor:
    """Eq. 11 candidate by candidate: compact weights, padding, weighted sum."""
    config = space.config
    batch = space.embedding.embed(ids)
    states: Tensor | None = None
    total = torch.zeros(*ids.shape, config.hidden)
    for layer, candidates in enumerate(space.blocks(), start=1):
        assert isinstance(candidates, Candidates)
        mixed = torch.zeros(*ids.shape, config.hidden)
        for index, (hidden_pruning, inner_pruning) in enumerate(config.candidates):
            hidden, inner = config.hidden_width(hidden_pruning), config.inner_width(inner_pruning)
            block = Block(config, layer, hidden, inner).eval()
            block.load_state_dict({name: weight.detach() for name, weight in candidates.sliced_state(index).items()})
            mixed[..., :hidden] += weights["pruning"][index] * block(states, batch)
        states = mixed
        if layer in config.depths:
            total = total + weights["depth"][config.depths.index(layer)] * mixed
    if space.narrow is not None:
        return total @ space.narrow.weight.T
    return total if space.head is None else naive_sessions(space, total, ids, weights["pruning"])


def naive_sessions(space: EASRecSpace, states: Tensor, ids: Tensor, candidates: Tensor) -> Tensor:
    """CORE's head position by position: softmax over visible interactions, mixed width."""
    assert space.head is not None
    mask = torch.zeros(space.config.hidden)
    for weight, (hidden_pruning, _) in zip(candidates, space.config.candidates, strict=True):
        mask[: space.config.hidden_width(hidden_pruning)] += weight
    sessions = torch.zeros_like(states)
    for row in range(len(ids)):
        for t in ids[row].nonzero().flatten().tolist():
            seen = ids[row].nonzero().flatten()
            seen = seen[seen <= t] if space.config.direction == "causal" else seen
            alpha = (states[row, seen] @ space.head.energy.weight[0]).softmax(0)
            session = mask * (alpha[:, None] * space.embedding.items.weight[ids[row, seen]]).sum(0)
            sessions[row, t] = session / session.norm()
    return sessions


@torch.no_grad()
@pytest.mark.parametrize("min_depth", [1, 2])
@COVER
def test_soft_supernet_is_the_weighted_sum_of_padded_candidates(options: dict[str, Any], min_depth: int) -> None:
    space = make_space(**options, min_depth=min_depth)
    selection = make_supernet(space)
    selection.weights = soft_weights(selection)
    real = IDS != 0
    expected = naive_mixture(space, IDS, selection.weights)
    torch.testing.assert_close(space.states(IDS)[real], expected[real], rtol=0, atol=1e-5)


@pytest.mark.parametrize("supernet", ["independent", "shared"])
def test_gradients_of_the_mixing_weights_are_those_of_the_naive_sum(supernet: str) -> None:
    space = make_space(supernet=supernet)
    selection = make_supernet(space)
    weights = {label: weight.requires_grad_() for label, weight in soft_weights(selection).items()}
    selection.weights = weights
    real = IDS != 0
    reader = torch.linspace(-1, 1, space.config.hidden)
    got = torch.autograd.grad((space.states(IDS)[real] * reader).sum(), list(weights.values()))
    expected = torch.autograd.grad((naive_mixture(space, IDS, weights)[real] * reader).sum(), list(weights.values()))
    for one, other in zip(got, expected, strict=True):
        assert (one != 0).all()
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("supernet", ["independent", "shared"])
def test_weights_have_the_same_names_before_and_after_a_strategy_takes_the_space(supernet: str) -> None:
    space = make_space(supernet=supernet)
    before = {name: weight.clone() for name, weight in space.weights().items()}
    make_supernet(space)
    after = space.weights()
    assert list(after) == list(before)
    assert all(torch.equal(after[name], before[name]) for name in before)
    # So that a supernet's file can be loaded into a space that no strategy has touched.
    other = make_space(seed=1, supernet=supernet)
    other.load_state_dict(after)
    choice = {"hidden_pruning": 0.5, "inner_pruning": 0.25, "depth": 2}
    assert torch.equal(other.freeze(choice)(IDS), space.freeze(choice)(IDS))


@pytest.mark.parametrize("supernet", ["independent", "shared"])
def test_freezing_leaves_random_numbers_alone(supernet: str) -> None:
    space = make_space(supernet=supernet)
    torch.manual_seed(5)
    before = torch.get_rng_state()
    space.freeze(space.config.largest)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("supernet", ["independent", "shared"])
def test_it_is_an_nni_model_space_with_readable_labels(supernet: str) -> None:
    space = make_space(supernet=supernet)
    assert isinstance(space, ModelSpace)
    choices = {label: list(mutable.values) for label, mutable in space.simplify().items()}
    ratios = [(hidden, inner) for hidden in (0.0, 0.25, 0.5) for inner in (0.0, 0.25, 0.5)]
    assert choices == {"pruning": [candidate_label(*pair) for pair in ratios], "depth": [1, 2, 3]}
    assert "hidden25_inner50" in choices["pruning"]


@pytest.mark.parametrize("supernet", ["independent", "shared"])
def test_nni_can_sample_and_enumerate_it(supernet: str) -> None:
    space = make_space(supernet=supernet)
    sample: dict[str, Any] = {}
    network = space.random(sample)
    assert set(sample) == {"pruning", "depth"}
    assert isinstance(network, EASRecNetwork) and not isinstance(network, EASRecSpace)
    assert network.config == space.config.compact(sample)
    assert torch.equal(network(IDS), space.freeze(sample)(IDS))
    assert space.contains(sample)
    assert not space.contains({"pruning": "hidden99_inner0", "depth": 1})
    assert len({(network.config.hidden, network.config.inner, network.config.layers) for network in space.grid()}) == 27


def test_freezing_what_is_not_in_the_space_is_refused() -> None:
    with pytest.raises(ValueError, match=r"depth=4 is not in this space; choose from 1, 2, 3"):
        make_space().freeze({"hidden_pruning": 0.25, "inner_pruning": 0.5, "depth": 4})


@torch.no_grad()
@pytest.mark.parametrize("supernet", ["independent", "shared"])
def test_scaled_dropout_is_that_of_the_frozen_network(supernet: str) -> None:
    space = make_space(supernet=supernet, attention="softmax", dropout=0.5, dropout_scaling="width")
    selection = make_supernet(space)
    selection.hard = True
    space.train()
    for choice in space.config.architectures():
        for label, logits in selection.logits.items():
            logits.copy_(one_hot(selection, choice)[label])
        frozen = space.freeze(choice)
        assert frozen.config.dropout == 0.5 * (1 - choice.hidden_pruning)
        assert frozen.config.dropout_scaling == "none"
        results = []
        for network in (space, frozen):  # equal seeds draw equal masks, if the rates are equal
            torch.manual_seed(5)
            results.append(network.states(IDS)[IDS != 0])
        width = space.config.hidden_width(choice.hidden_pruning)
        torch.testing.assert_close(results[0][:, :width], results[1], rtol=0, atol=1e-5)


@torch.no_grad()
@pytest.mark.parametrize("supernet", ["independent", "shared"])
@pytest.mark.parametrize(
    "options, count",
    [
        ({"min_depth": 3}, 9),
        ({"layers": 1}, 9),
        ({"hidden_pruning": [0.5]}, 9),
        ({"hidden_pruning": [0.25], "inner_pruning": [0.5]}, 3),
        ({"hidden_pruning": [0.25, 0.5], "inner_pruning": [0.25, 0.75]}, 12),
        ({"inner_pruning": [0.25], "min_depth": 2}, 6),
    ],
)
def test_spaces_with_little_to_choose(options: dict[str, Any], count: int, supernet: str) -> None:
    space = make_space(**options, supernet=supernet)
    selection = make_supernet(space)
    architectures = space.config.architectures()
    assert len(architectures) == count
    for choice in architectures:
        selection.weights = one_hot(selection, choice)
        torch.testing.assert_close(space.freeze(choice)(IDS), space(IDS), rtol=0, atol=1e-5)


@torch.no_grad()
@pytest.mark.parametrize("ratios", [(0.0, 0.0), (0.5, 0.25)])
def test_a_fixed_space_is_an_ordinary_network(ratios: tuple[float, float]) -> None:
    space = make_space(hidden_pruning=[ratios[0]], inner_pruning=[ratios[1]], min_depth=3)
    assert space.config.is_fixed
    assert space.simplify() == {}
    assert space.embedding.items.weight.shape[1] == space.config.hidden_width(ratios[0])
    frozen = space.freeze(space.config.largest)
    torch.testing.assert_close(frozen(IDS), space(IDS), rtol=0, atol=1e-5)
    # A frozen network is one architecture, and can be frozen again.
    again = frozen.freeze({"hidden_pruning": 0.0, "inner_pruning": 0.0, "depth": 3})
    assert torch.equal(again(IDS), frozen(IDS))


def test_compact_network_as_a_space_of_its_own_holds_inherited_weights() -> None:
    # What a retraining does: build the compact network from numbers, then load the weights that the supernet gave.
    space = make_space(supernet="shared")
    choice = Choice(hidden_pruning=0.25, inner_pruning=0.5, depth=2)
    frozen = space.freeze(choice)
    built = EASRecSpace(space.config.compact(choice)).eval()
    built.load_state_dict(frozen.state_dict())
    assert torch.equal(built(IDS), frozen(IDS))
