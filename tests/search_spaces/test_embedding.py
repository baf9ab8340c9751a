"""Masked objective: embedding and position of the mask, prompts for the next item."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from search_spaces import EASRecSpace, SpaceConfig
from search_spaces.attention import ATTENTIONS
from tests.search_spaces.spaces import random_space

N_ITEMS = 15
MASK = N_ITEMS + 1
SMALL: dict[str, Any] = {
    "n_items": N_ITEMS,
    "max_length": 5,
    "hidden": 16,
    "inner": 24,
    "heads": 2,
    "layers": 2,
    "objective": "masked",
    "direction": "bidirectional",
}
ATTENTION = pytest.mark.parametrize("attention", ATTENTIONS)


def make_network(**options: Any) -> EASRecSpace:
    config = SpaceConfig(**SMALL | options)
    return random_space(config, dtype=torch.float64).freeze(config.largest)


@torch.no_grad()
@ATTENTION
def test_the_next_item_is_what_the_mask_after_the_history_stands_for(attention: str) -> None:
    network = make_network(attention=attention)
    histories = torch.tensor([[0, 0, 3, 7, 1], [1, 2, 3, 4, 5], [4, 0, 2, 0, 0], [0, 0, 0, 0, 0]])
    asked = torch.tensor([[0, 0, 3, 7, 1, MASK], [1, 2, 3, 4, 5, MASK], [4, 0, 2, 0, 0, MASK], [0, 0, 0, 0, 0, MASK]])
    assert torch.equal(network.prompt(histories), asked)
    scores = network(histories)
    assert scores.shape == (4, N_ITEMS + 1)  # neither padding nor the mask is recommended
    torch.testing.assert_close(scores, network.score(network.states(asked)[:, -1]))
    assert (scores[:, 0] == -torch.inf).all() and scores[:, 1:].isfinite().all()
    torch.testing.assert_close(network.newest_state(histories) @ network.item_vectors().T, scores[:, 1:])
    assert network.item_vectors().shape == (N_ITEMS, 16)
    assert torch.equal(network.item_vectors(), network.embedding.items.weight[1:MASK])


@torch.no_grad()
@ATTENTION
@pytest.mark.parametrize("positions", ["from_end", "from_start", "none"])
def test_a_whole_history_is_seen_beside_the_mask(attention: str, positions: str) -> None:
    network = make_network(attention=attention, positions=positions)
    assert network.config.window == 6
    if network.embedding.positions is not None:
        assert network.embedding.positions.num_embeddings == 6
    newest = network(torch.tensor([[1, 2, 3, 4, 5]]))
    torch.testing.assert_close(network(torch.tensor([[9, 9, 1, 2, 3, 4, 5]])), newest)
    # The oldest of the five counts, and what stands where.
    assert (network(torch.tensor([[7, 2, 3, 4, 5]])) - newest)[:, 1:].abs().max() > 1e-3
    order = (network(torch.tensor([[2, 1, 3, 4, 5]])) - newest)[:, 1:].abs().max()
    assert order < 1e-9 if positions == "none" and attention != "linformer" else order > 1e-3


@torch.no_grad()
@ATTENTION
def test_a_masked_position_sees_both_sides_and_not_itself(attention: str) -> None:
    network = make_network(attention=attention)
    ids = torch.tensor([[1, 2, MASK, 4, 5, 6]])
    state = network.states(ids)[0, 2]
    for place in (1, 3, 5):
        changed = ids.clone()
        changed[0, place] = 9
        assert (network.states(changed)[0, 2] - state).abs().max() > 1e-3
    # Another vector of the mask gives another state: the mask has its own embedding.
    network.embedding.items.weight[MASK, 0] += 1
    assert (network.states(ids)[0, 2] - state).abs().max() > 1e-3


def test_the_mask_has_one_row_that_is_kept_by_freezing() -> None:
    space = EASRecSpace(SpaceConfig(**SMALL))
    assert space.embedding.items.num_embeddings == N_ITEMS + 2
    frozen = space.freeze({"hidden_pruning": 0.5, "inner_pruning": 0.25, "depth": 1})
    assert frozen.config.mask_token == MASK
    assert torch.equal(frozen.embedding.items.weight, space.embedding.items.weight[:, :8])


def test_the_other_objective_knows_no_mask() -> None:
    network = EASRecSpace(SpaceConfig(**SMALL | {"objective": "next"}))
    ids = torch.tensor([[1, 2, 3]])
    assert network.config.window == 5 and network.prompt(ids) is ids
    assert network.embedding.items.num_embeddings == N_ITEMS + 1
    with pytest.raises(IndexError):
        network(torch.tensor([[MASK]]))


@pytest.mark.parametrize(
    "options, words",
    [
        ({"direction": "causal"}, "objective='masked' needs both sides .*: set direction='bidirectional'"),
        (
            {
                "features": "stream",
                "feature_sizes": [3],
                "feature_values": [1],
                "hidden_pruning": [0],
                "inner_pruning": [0],
                "min_depth": 2,
            },
            "objective='masked' does not support item features: set features='none'",
        ),
    ],
)
def test_what_cannot_be_masked_is_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        SpaceConfig(**SMALL | options)
