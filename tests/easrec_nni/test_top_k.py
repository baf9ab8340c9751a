"""The k best over blocks, against the whole matrix and against sorting by hand."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from easrec_nni import top_k as module
from easrec_nni.top_k import recommended_items, top_k
from search_spaces import EASRecSpace, SpaceConfig

BLOCKS = [1, 2, 3, 7, 40, 1000, None]
SIZES: dict[str, Any] = {"n_items": 50, "max_length": 6, "hidden": 8, "inner": 16, "heads": 2, "layers": 2}


@pytest.mark.parametrize("block", BLOCKS)
def test_without_ties_it_is_torchs_topk_of_the_whole_matrix(block: int | None) -> None:
    torch.manual_seed(0)
    states, items = torch.randn(9, 5, dtype=torch.float64), torch.randn(83, 5, dtype=torch.float64)
    expected = (states @ items.T).topk(10, dim=1)
    scores, numbers = top_k(states, items, 10, block)
    assert torch.equal(numbers, expected.indices + 1)
    torch.testing.assert_close(scores, expected.values, rtol=1e-13, atol=1e-13)


@given(
    rows=st.lists(st.lists(st.integers(-2, 2), min_size=2, max_size=2), min_size=1, max_size=30),
    states=st.lists(st.lists(st.integers(-1, 2), min_size=2, max_size=2), min_size=1, max_size=4),
    k=st.integers(1, 8),
    block=st.sampled_from(BLOCKS),
)
@settings(max_examples=150, deadline=None)
def test_of_equals_the_smaller_number_comes_first(
    rows: list[list[int]], states: list[list[int]], k: int, block: int | None
) -> None:
    """Whole numbers are exact in float32, and so most scores have an equal."""
    found = top_k(torch.tensor(states).float(), torch.tensor(rows).float(), k, block)[1].tolist()
    for state, numbers in zip(states, found, strict=True):
        products = [sum(a * b for a, b in zip(state, row, strict=True)) for row in rows]
        assert numbers == sorted(range(1, len(rows) + 1), key=lambda item: (-products[item - 1], item))[:k]


@pytest.mark.parametrize("block", BLOCKS)
def test_excluded_items_are_left_out_of_their_row_alone(block: int | None) -> None:
    items = torch.tensor([[5.0], [4.0], [3.0], [2.0], [1.0]])
    exclude = torch.tensor([[0, 1, 3], [5, 5, 0]])
    scores, numbers = top_k(torch.ones(2, 1), items, 4, block, exclude)
    assert numbers.tolist() == [[2, 4, 5, 0], [1, 2, 3, 4]]
    assert scores.tolist() == [[4, 2, 1, -torch.inf], [5, 4, 3, 2]]


def test_all_items_are_the_most_there_can_be() -> None:
    assert top_k(torch.ones(2, 1), torch.tensor([[1.0], [2.0]]), 9)[1].tolist() == [[2, 1], [2, 1]]
    assert top_k(torch.ones(0, 1), torch.tensor([[1.0], [2.0]]), 1)[1].shape == (0, 1)


@pytest.mark.parametrize("block", [2, None])
@pytest.mark.parametrize("place", [0, 3, 6])
def test_a_nan_is_an_error_wherever_it_is(place: int, block: int | None) -> None:
    items = torch.ones(7, 1)
    items[place] = torch.nan
    with pytest.raises(ValueError, match="NaN among the scores"):
        top_k(torch.ones(1, 1), items, 2, block)


@pytest.mark.parametrize(("k", "block"), [(0, 5), (1, 0)])
def test_nonsense_is_refused(k: int, block: int) -> None:
    with pytest.raises(ValueError, match="from 1"):
        top_k(torch.ones(1, 1), torch.ones(3, 1), k, block)


@torch.no_grad()
@pytest.mark.parametrize("changes", [{}, {"head": "core"}, {"objective": "masked", "direction": "bidirectional"}])
def test_a_networks_recommendations_are_those_of_its_scores(changes: dict[str, Any]) -> None:
    torch.manual_seed(2)
    network = EASRecSpace(SpaceConfig(**{**SIZES, **changes})).double().eval()
    ids = torch.tensor([[0, 0, 4, 1, 9], [3, 3, 2, 5, 7]])
    scores, numbers = recommended_items(network, ids, 6, block=8)
    expected = network(ids).topk(6, dim=1)
    assert torch.equal(numbers, expected.indices)
    torch.testing.assert_close(scores, expected.values, rtol=1e-12, atol=1e-12)
    unseen = recommended_items(network, ids, 50, exclude=ids)[1].tolist()
    assert [{*row} & {*history} - {0} for row, history in zip(unseen, ids.tolist(), strict=True)] == [set(), set()]
    assert sorted(unseen[0])[3:] == sorted({*range(1, 51)} - {4, 1, 9}), "three places are empty, and all others full"


def test_scores_of_all_items_are_never_held(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BLOCK_SCORES", 0)
    monkeypatch.setattr(module, "SMALLEST_BLOCK", 100)
    states, items = torch.randn(20, 4), torch.randn(30_000, 4)
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as profile:
        top_k(states, items, 10)
    assert max(event.cpu_memory_usage for event in profile.events() if event.name.startswith("aten::")) <= 4 * 20 * 100
