"""Networks: padding, the order of time, the newest position, length, dropout."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F

from search_spaces import SpaceConfig
from search_spaces.attention import CHUNK
from tests.search_spaces.spaces import (
    COVER,
    FORMS,
    IDS,
    N_ITEMS,
    SMALL,
    make_space,
    network_of,
)


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
