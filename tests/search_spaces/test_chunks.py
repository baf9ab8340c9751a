from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

import search_spaces.chunks as chunks
from search_spaces import EASRecSpace, SpaceConfig
from search_spaces.chunks import in_chunks, may_chunk

SIZES: dict[str, Any] = {"n_items": 40, "max_length": 9, "hidden": 8, "inner": 16, "heads": 2, "layers": 2}
ONE = {"hidden_pruning": (0.0,), "inner_pruning": (0.0,), "min_depth": 2}


def ragged(rows: int = 23, length: int = 12, side: str = "left") -> Tensor:
    """Sequences of 0 to ``length`` items, some longer than the window, padded on one side or in between."""
    random = torch.Generator().manual_seed(3)
    ids = torch.randint(1, 41, (rows, length), generator=random)
    for row in range(rows):
        padding = row * 5 % (length + 1)
        if side == "left":
            ids[row, :padding] = 0
        elif side == "right":
            ids[row, length - padding :] = 0
        else:
            ids[row, torch.randperm(length, generator=random)[:padding]] = 0
    return ids


@pytest.fixture
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunks, "CACHED_VALUES", 16 * 20)


@pytest.mark.parametrize("side", ["left", "right", "between"])
@pytest.mark.parametrize(
    "changes",
    [
        ONE,
        ONE | {"attention": "softmax"},
        ONE | {"key_norm": "column", "positions": "from_start"},
        ONE | {"objective": "masked", "direction": "bidirectional"},
        ONE | {"head": "core"},
        ONE | {"attention": "linformer", "direction": "bidirectional"},
        {},
    ],
    ids=["linrec", "softmax", "column", "masked", "core", "linformer", "supernet"],
)
def test_scores_in_chunks_are_those_of_all_at_once(small_chunks: None, side: str, changes: dict[str, Any]) -> None:
    torch.manual_seed(0)
    network = EASRecSpace(SpaceConfig(**SIZES | changes)).double().eval()
    ids = ragged(side=side)
    with torch.no_grad():
        found = network(ids)
    expected = network(ids)  # with gradients: nothing is cut
    assert expected.requires_grad and not found.requires_grad
    filled = (ids != 0).any(1)  # an empty history has no state of its own
    assert filled.sum() >= len(ids) - 3
    assert torch.allclose(found[filled], expected[filled], rtol=1e-10, atol=1e-12)


def test_chunks_are_small_and_carry_no_common_padding(small_chunks: None) -> None:
    ids, met = ragged(), []

    def run(part: Tensor) -> Tensor:
        met.append(part)
        return part.sum(1, keepdim=True)

    newest = torch.where((ids != 0).flip(1).cumsum(1).flip(1) <= 9, ids, 0)
    assert torch.equal(in_chunks(run, ids, 9, 16), newest.sum(1, keepdim=True))
    assert len(met) >= 5
    assert sum(len(part) for part in met) == len(ids)
    for part in met:
        assert len(part) == 1 or part.numel() <= 20
        assert part.shape[1] == 1 or ((part[:, 0] != 0).any() and (part[:, -1] != 0).any())


def test_a_single_user_is_not_cut() -> None:
    met = []
    in_chunks(lambda part: met.append(part) or part, torch.ones(1, 9, dtype=torch.long), 9, 16)
    assert [part.shape for part in met] == [(1, 9)]


def test_nothing_is_cut_where_gradients_or_dropout_are_wanted() -> None:
    assert not may_chunk(training=False)
    with torch.no_grad():
        assert may_chunk(training=False)
        assert not may_chunk(training=True)
        traced = torch.jit.trace(lambda x: x + float(may_chunk(training=False)), torch.zeros(1), check_trace=False)
    assert traced(torch.zeros(1)).item() == 0.0
