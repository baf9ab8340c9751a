"""Supernet and frozen networks: a frozen network must equal the supernet at its choice.

Weights are drawn at random, those of LayerNorm and all biases included: at their initial values (ones, zeros, 0.02) a
wrong slice would hardly be seen in the scores.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from nni.nas.nn.pytorch import ModelSpace
from torch import Tensor

from search_spaces import Choice, EASRecNetwork, EASRecSpace, SpaceConfig, candidate_label
from search_spaces.attention import ATTENTIONS, CHUNK
from search_spaces.block import Block
from search_spaces.candidates import Candidates
from search_spaces.config import BIDIRECTIONAL_ONLY
from strategies import EASRec, Selection

N_ITEMS = 15
SMALL: dict[str, Any] = {"n_items": N_ITEMS, "max_length": 9, "hidden": 16, "inner": 24, "heads": 2, "layers": 3}
# Every form of attention in each direction that it has, with both kinds of supernet; the values of the other options
# take turns.
FORMS = [
    (attention, direction)
    for attention in ATTENTIONS
    for direction in ("causal", "bidirectional")
    if not (direction == "causal" and attention in BIDIRECTIONAL_ONLY)
]
OTHERS: list[dict[str, Any]] = [
    {},
    {"gates_from": 1, "positions": "from_start"},
    {"gate_layers": 0, "embedding_norm": False},
    {"gate_layers": 1, "positions": "none", "linformer_rank": 4},
    {"gate_layers": 1, "gates_from": 1},
]
COVERING: dict[str, dict[str, Any]] = {
    f"{attention}, {direction}, {supernet}": {
        "attention": attention,
        "direction": direction,
        "supernet": supernet,
        **OTHERS[(place + 2 * (supernet == "shared")) % len(OTHERS)],
    }
    for place, (attention, direction) in enumerate(FORMS)
    for supernet in ("independent", "shared")
}
COVERING |= {
    "paper": {"key_norm": "column", "direction": "bidirectional"},
    "paper, shared": {"key_norm": "column", "direction": "bidirectional", "supernet": "shared"},
    "column, causal": {"key_norm": "column", "gates_from": 1, "positions": "from_start"},
    "column, causal, shared": {"key_norm": "column", "gates_from": 1, "gate_layers": 1, "supernet": "shared"},
    "core": {"head": "core", "gate_layers": 0},
    "core, shared": {"head": "core", "supernet": "shared", "attention": "softmax", "core_temperature": 0.5},
    "core, bidirectional": {"head": "core", "direction": "bidirectional", "positions": "none"},
    "masked": {"objective": "masked", "direction": "bidirectional", "attention": "softmax", "gate_layers": 0},
    "masked, shared": {
        "objective": "masked",
        "direction": "bidirectional",
        "supernet": "shared",
        "positions": "from_start",
        "attention": "linformer",
    },
}
COVERING |= {
    f"items of width 6, {supernet}": {"item_width": 6, "supernet": supernet, "attention": "softmax"}
    for supernet in ("independent", "shared")
}
COVER = pytest.mark.parametrize("options", COVERING.values(), ids=COVERING)
# No padding, padding on the left, on the right, in the middle, one item alone, and nothing at all.
IDS = torch.tensor(
    [
        [1, 2, 3, 4, 5, 6, 7, 8, 9],
        [0, 0, 0, 0, 0, 9, 3, 3, 12],
        [4, 4, 2, 7, 0, 0, 0, 0, 0],
        [5, 0, 6, 0, 0, 7, 0, 8, 0],
        [0, 0, 0, 0, 0, 0, 0, 0, 11],
        [0, 0, 0, 0, 0, 0, 0, 0, 0],
    ]
)


def make_space(seed: int = 0, **options: Any) -> EASRecSpace:
    """Space with random weights, in eval mode."""
    torch.manual_seed(seed)
    space = EASRecSpace(SpaceConfig(**SMALL | options)).eval()
    with torch.no_grad():
        for name, weight in space.named_parameters():
            weight.normal_(1.0 if "norm.weight" in name else 0.0, 0.3)
        space.embedding.items.weight[0] = 0
    return space


def make_supernet(space: EASRecSpace) -> Selection:
    """Turn a space into a supernet in place, as a search does."""
    strategy = EASRec(cost_table={})
    strategy.mutate_model(space)
    assert strategy.selection is not None
    return strategy.selection


def one_hot(selection: Selection, choice: Choice) -> dict[str, Tensor]:
    """Weights that select one architecture."""
    selected = {"pruning": choice.label, "depth": choice.depth}
    return {
        label: torch.tensor([float(option == selected[label]) for option in options])
        for label, options in selection.options.items()
    }


def soft_weights(selection: Selection, seed: int = 3) -> dict[str, Tensor]:
    """Weights without small values."""
    generator = torch.Generator().manual_seed(seed)
    return {
        label: torch.rand(len(options), generator=generator).add(0.2).softmax(0)
        for label, options in selection.options.items()
    }


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


def network_of(options: dict[str, Any], kind: str) -> EASRecSpace:
    space = make_space(**options)
    if kind == "frozen":
        return space.freeze({"hidden_pruning": 0.25, "inner_pruning": 0.5, "depth": 3})
    selection = make_supernet(space)
    selection.weights = soft_weights(selection)
    return space


@torch.no_grad()
@pytest.mark.parametrize("kind", ["frozen", "soft"])
@COVER
def test_padding_never_changes_a_result(options: dict[str, Any], kind: str) -> None:
    network = network_of(options, kind)
    history = torch.tensor([3, 1, 12, 7])
    alone = network(history[None])[0]
    assert alone[1:].isfinite().all() and alone[0] == -torch.inf
    # By 1 to 20 on the left, on the right, and both at once ...
    rows = [F.pad(history, sides) for count in range(21) for sides in {(count, 20 - count), (20 - count, count)}]
    torch.testing.assert_close(network(torch.stack(rows)), alone.expand(len(rows), -1), rtol=0, atol=1e-5)
    # ... and in batches that are no longer than the padding makes them.
    for sides in ((1, 0), (0, 1), (7, 0)):
        torch.testing.assert_close(network(F.pad(history, sides)[None])[0], alone, rtol=0, atol=1e-5)
    between = torch.tensor([[0, 3, 0, 0, 1, 12, 0, 7, 0]])
    torch.testing.assert_close(network(between)[0], alone, rtol=0, atol=1e-5)
    among_longer = torch.stack([torch.arange(1, 10), F.pad(history, (5, 0)), torch.arange(4, 13)])
    torch.testing.assert_close(network(among_longer)[1], alone, rtol=0, atol=1e-5)
    # And it is not that the input hardly matters.
    other = network(torch.tensor([[3, 2, 12, 7]]))[0]
    assert (other - alone)[1:].abs().max() > 0.01


@torch.no_grad()
@COVER
def test_padding_across_chunks_of_linear_attention(options: dict[str, Any]) -> None:
    network = make_space(**options, max_length=2 * CHUNK).freeze(
        {"hidden_pruning": 0.25, "inner_pruning": 0.0, "depth": 2}
    )
    generator = torch.Generator().manual_seed(1)
    history = torch.randint(1, N_ITEMS + 1, (CHUNK - 1,), generator=generator)
    alone = network(history[None])[0]
    for count in (1, 2, CHUNK, CHUNK + 5):
        torch.testing.assert_close(network(F.pad(history, (count, 0))[None])[0], alone, rtol=0, atol=1e-5)


@torch.no_grad()
@pytest.mark.parametrize("length", [9, CHUNK + 6])
@pytest.mark.parametrize("kind", ["frozen", "soft"])
@COVER
def test_future_items_change_earlier_positions_only_if_bidirectional(
    options: dict[str, Any], kind: str, length: int
) -> None:
    network = network_of(options | {"max_length": length}, kind)
    generator = torch.Generator().manual_seed(2)
    ids = torch.randint(1, N_ITEMS + 1, (2, length), generator=generator)
    states = network.states(ids)
    for t in (1, length // 2, length - 1):
        changed = ids.clone()
        changed[:, t:] = changed[:, t:] % N_ITEMS + 1
        after = network.states(changed)
        difference = (after - states).abs().amax(-1)
        assert (difference[:, t:].amax(1) > 1e-3).all()
        if network.config.direction == "causal":
            assert (difference[:, :t] <= 1e-6).all()
        else:
            assert (difference[:, :t] > 1e-4).all()


@torch.no_grad()
@pytest.mark.parametrize("attention, direction", FORMS)
def test_items_after_the_newest_interaction_are_not_part_of_a_score(attention: str, direction: str) -> None:
    # The history as it was before the last item is scored without it, whatever the direction.
    network = make_space(attention=attention, direction=direction).freeze(SpaceConfig(**SMALL).largest)
    whole, before = network(torch.tensor([[1, 2, 3]])), network(torch.tensor([[1, 2]]))
    assert (whole - before)[:, 1:].abs().max() > 0.01
    torch.testing.assert_close(network(torch.tensor([[1, 2, 0]])), before, rtol=0, atol=1e-5)


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


@torch.no_grad()
@COVER
def test_newest_position_alone_is_what_the_full_computation_has_there(options: dict[str, Any]) -> None:
    space = make_space(**options)
    for depth in (1, 3):
        network = space.freeze({"hidden_pruning": 0.25, "inner_pruning": 0.25, "depth": depth})
        prompts = network.prompt(IDS)
        full = network.states(prompts)
        for row, ids in enumerate(IDS):
            places = prompts[row].nonzero()
            if len(places):
                newest = network.newest_state(ids[None])[0]
                torch.testing.assert_close(newest, full[row, int(places[-1])], rtol=0, atol=1e-5)


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
@pytest.mark.parametrize("kind", ["frozen", "soft"])
@COVER
def test_only_the_newest_max_length_interactions_count(options: dict[str, Any], kind: str) -> None:
    network = network_of(options, kind)
    generator = torch.Generator().manual_seed(4)
    long = torch.randint(1, N_ITEMS + 1, (2, 30), generator=generator)
    newest = network(long[:, -network.config.max_length :])
    torch.testing.assert_close(network(long), newest, rtol=0, atol=1e-5)
    # Padding is not an interaction: it does not use up the length.
    spaced = torch.zeros(2, 60, dtype=torch.long)
    spaced[:, ::2] = long
    torch.testing.assert_close(network(spaced), newest, rtol=0, atol=1e-5)
    shorter = network(long[:, 1 - network.config.max_length :])
    assert (shorter - newest)[:, 1:].abs().max() > 1e-4


@pytest.mark.parametrize("kind", ["frozen", "soft"])
@COVER
def test_a_row_of_padding_alone_gives_numbers_and_gradients(options: dict[str, Any], kind: str) -> None:
    network = network_of(options, kind)
    for ids in (torch.zeros(2, 4, dtype=torch.long), torch.zeros(1, 1, dtype=torch.long), IDS):
        network.zero_grad()
        scores = network(ids)
        assert scores[:, 1:].isfinite().all()
        scores[:, 1:].sum().backward()
        gradients = [weight.grad for weight in network.parameters() if weight.grad is not None]
        assert gradients and all(gradient.isfinite().all() for gradient in gradients)


@torch.no_grad()
def test_training_with_dropout_is_random_and_evaluation_is_not() -> None:
    network = make_space().freeze({"hidden_pruning": 0.0, "inner_pruning": 0.0, "depth": 2})
    assert torch.equal(network(IDS), network(IDS))
    network.train()
    assert not torch.equal(network(IDS), network(IDS))


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


def test_glorot_initialisation_changes_the_item_table_alone() -> None:
    fixed: dict[str, Any] = {"layers": 1, "hidden_pruning": [0], "inner_pruning": [0], "max_length": 5}
    networks = []
    for form in ("normal", "xavier_normal"):
        torch.manual_seed(3)
        config = SpaceConfig(n_items=3000, hidden=32, inner=32, item_initialisation=form, **fixed)
        networks.append(dict(EASRecNetwork(config).named_parameters()))
    tables = [weights.pop("embedding.items.weight") for weights in networks]
    assert all(torch.equal(weight, networks[1][name]) for name, weight in networks[0].items())
    for table, deviation in zip(tables, (0.02, (2 / (3001 + 32)) ** 0.5), strict=True):
        assert not table[0].any(), "padding"
        assert float(table[1:].std()) == pytest.approx(deviation, rel=0.02)
