"""Small spaces with random weights, in every form, for the tests of networks and supernets.

Weights are drawn at random, those of LayerNorm and all biases included: at their initial values (ones, zeros, 0.02) a
wrong slice would hardly be seen in the scores.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from search_spaces import Choice, EASRecSpace, SpaceConfig
from search_spaces.attention import ATTENTIONS
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


def random_space(config: SpaceConfig, seed: int = 0, dtype: torch.dtype = torch.float32) -> EASRecSpace:
    """Space with random weights, in eval mode."""
    torch.manual_seed(seed)
    space = EASRecSpace(config).eval().to(dtype)
    with torch.no_grad():
        for name, weight in space.named_parameters():
            weight.normal_(1.0 if "norm.weight" in name else 0.0, 0.3)
        space.embedding.items.weight[0] = 0
    return space


def make_space(seed: int = 0, **options: Any) -> EASRecSpace:
    """Small space with random weights, in eval mode."""
    return random_space(SpaceConfig(**SMALL | options), seed)


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


def network_of(options: dict[str, Any], kind: str) -> EASRecSpace:
    """Frozen network of a space, or its supernet with soft weights."""
    space = make_space(**options)
    if kind == "frozen":
        return space.freeze({"hidden_pruning": 0.25, "inner_pruning": 0.5, "depth": 3})
    selection = make_supernet(space)
    selection.weights = soft_weights(selection)
    return space
