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
    """Sequences of 0 to ``length`` items, padded on one side or in between."""
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
        scores = network(ids)
    expected = network(ids)  # gradients disable chunking
    assert expected.requires_grad and not scores.requires_grad
    assert torch.allclose(scores, expected, rtol=1e-10, atol=1e-12)


def with_cold_users(users: int, length: int, cold: int, random: torch.Generator) -> Tensor:
    """Histories with padding anywhere; ``cold`` random users have no interactions."""
    ids = torch.randint(1, SIZES["n_items"] + 1, (users, length), generator=random)
    ids[torch.rand(users, length, generator=random) < torch.rand(users, 1, generator=random)] = 0
    ids[torch.randperm(users, generator=random)[:cold]] = 0
    return ids


def score_separately(network: EASRecSpace, ids: Tensor) -> Tensor:
    """Scores of each user in a separate call, without padding and chunks."""
    with torch.enable_grad():  # gradients disable chunking
        rows = [row[row != 0] if row.any() else row[:1] for row in ids]
        return torch.cat([network(row[None]) for row in rows]).detach()


KINDS = {
    "linrec": ONE,
    "softmax": ONE | {"attention": "softmax"},
    "elu": ONE | {"attention": "elu"},
    "column": ONE | {"key_norm": "column", "positions": "from_start"},
    "bidirectional": ONE | {"attention": "softmax", "direction": "bidirectional", "positions": "none"},
    "masked": ONE | {"objective": "masked", "direction": "bidirectional"},
    "core": ONE | {"head": "core"},
    "linformer": ONE | {"attention": "linformer", "direction": "bidirectional"},
    "supernet": {},
    "shared supernet": {"supernet": "shared", "attention": "softmax"},
}


@pytest.mark.parametrize("changes", KINDS.values(), ids=KINDS)
def test_users_without_history_get_scores_like_others(small_chunks: None, changes: dict[str, Any]) -> None:
    torch.manual_seed(1)
    network = EASRecSpace(SpaceConfig(**SIZES | changes)).double().eval()
    random = torch.Generator().manual_seed(2)
    shapes = [(1, 1, 1), (1, 60, 1), (4, 20, 4), (40, 7, 39), (2, 60, 1), (30, 1, 15), (25, 60, 0)]
    shapes += [
        (users, length, cold)
        for users, length in zip(
            torch.randint(1, 30, (12,), generator=random).tolist(),
            torch.randint(1, 61, (12,), generator=random).tolist(),
            strict=True,
        )
        for cold in (users // 3, users)
    ]
    for users, length, cold in shapes:
        ids = with_cold_users(users, length, cold, random)
        with torch.no_grad():
            scores = network(ids)
        expected = score_separately(network, ids)
        assert scores[:, 1:].isfinite().all()
        assert torch.allclose(scores, expected, rtol=1e-9, atol=1e-11), (users, length, cold)
        assert torch.allclose(network(ids), expected, rtol=1e-9, atol=1e-11), (users, length, cold)  # all at once
        if cold > 1:  # users without history are indistinguishable
            empty = scores[(ids == 0).all(1)]
            assert torch.allclose(empty, empty[:1].expand_as(empty), rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize(("users", "cold"), [(600, 450), (600, 600), (600, 50), (599, 1)])
def test_hundreds_of_users_of_whom_some_are_new(users: int, cold: int) -> None:
    torch.manual_seed(1)
    config = SpaceConfig(**SIZES | ONE | {"max_length": 50, "inner": 128})
    network = EASRecSpace(config).double().eval()
    ids = with_cold_users(users, 20, cold, torch.Generator().manual_seed(users + cold))
    with torch.no_grad():
        scores = network(ids)
    assert torch.allclose(scores, score_separately(network, ids), rtol=1e-9, atol=1e-11)


@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning")
def test_a_traced_network_takes_users_without_history() -> None:
    torch.manual_seed(1)
    network = EASRecSpace(SpaceConfig(**SIZES | ONE)).double().eval()
    random = torch.Generator().manual_seed(4)
    example, cold = with_cold_users(6, 12, 2, random), with_cold_users(6, 12, 6, random)
    with torch.no_grad():
        traced = torch.jit.trace(network, example, check_trace=False)
    for ids in (example, cold):
        assert torch.allclose(traced(ids), score_separately(network, ids), rtol=1e-9, atol=1e-11)


def test_rows_without_interactions_widen_no_chunk(small_chunks: None) -> None:
    ids = torch.zeros(12, 30, dtype=torch.long)
    ids[::3, -2:] = 5
    parts: list[Tensor] = []
    in_chunks(lambda part: parts.append(part) or part.sum(1, keepdim=True), ids, 9, 16)
    assert sum(len(part) for part in parts) == 12
    assert all(part.shape[1] <= 2 for part in parts)


def test_chunks_are_small_and_carry_no_common_padding(small_chunks: None) -> None:
    ids, parts = ragged(), []

    def run(part: Tensor) -> Tensor:
        parts.append(part)
        return part.sum(1, keepdim=True)

    newest = torch.where((ids != 0).flip(1).cumsum(1).flip(1) <= 9, ids, 0)
    assert torch.equal(in_chunks(run, ids, 9, 16), newest.sum(1, keepdim=True))
    assert len(parts) >= 5
    assert sum(len(part) for part in parts) == len(ids)
    for part in parts:
        assert len(part) == 1 or part.numel() <= 20
        assert part.shape[1] == 1 or ((part[:, 0] != 0).any() and (part[:, -1] != 0).any())


def test_a_single_user_is_not_chunked() -> None:
    parts = []
    in_chunks(lambda part: parts.append(part) or part, torch.ones(1, 9, dtype=torch.long), 9, 16)
    assert [part.shape for part in parts] == [(1, 9)]


def test_gradients_and_dropout_disable_chunking() -> None:
    assert not may_chunk(training=False)
    with torch.no_grad():
        assert may_chunk(training=False)
        assert not may_chunk(training=True)
        traced = torch.jit.trace(lambda x: x + float(may_chunk(training=False)), torch.zeros(1), check_trace=False)
    assert traced(torch.zeros(1)).item() == 0.0
