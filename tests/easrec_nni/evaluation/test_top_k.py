"""Top-k items against a stable sort of every row, with many ties."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from easrec_nni.common.errors import UserError
from easrec_nni.evaluation import top_k as module
from easrec_nni.evaluation.top_k import top_items
from easrec_nni.serving.history import recommend_after
from easrec_nni.serving.step import StepPlan
from search_spaces import EASRecSpace, SpaceConfig

INF = float("inf")


def sorted_items(row: list[float], k: int) -> list[int]:
    return sorted(range(1, len(row)), key=lambda item: (-row[item], item))[:k]


def check(scores: torch.Tensor, k: int) -> None:
    before = scores.clone()
    values, items = top_items(scores, k)
    assert items.dtype == torch.int64 and values.dtype == scores.dtype
    assert items.tolist() == [sorted_items(row, k) for row in scores.tolist()]
    assert torch.equal(values, scores.gather(1, items)) and torch.equal(scores, before)


@pytest.mark.parametrize(
    ("row", "k", "items"),
    [
        ([9, 1, 3, 2], 1, [2]),
        ([9, 1, 3, 2], 2, [2, 3]),
        ([9, 1, 3, 2], 99, [2, 3, 1]),
        ([9, 5, 5, 5], 2, [1, 2]),  # of equals, the smaller number
        ([9, 5, 7, 5], 2, [2, 1]),
        ([9, 0.0, -0.0, 1], 2, [3, 1]),
        ([9, -0.0, 0.0, -1], 2, [1, 2]),
        ([-INF, -INF, -INF, 0], 2, [3, 1]),  # padding is never recommended, even where all is lost
        ([INF, 1, INF, INF], 3, [2, 3, 1]),
    ],
)
def test_top_items_by_hand(row: list[float], k: int, items: list[int]) -> None:
    assert top_items(torch.tensor([row], dtype=torch.float32), k)[1].tolist() == [items]


@pytest.mark.parametrize("few", [0, 1 << 20])  # equals are looked for by torch, by Python
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16], ids=str)
@given(
    rows=st.lists(
        st.lists(st.sampled_from([-INF, -1.0, -0.0, 0.0, 0.5, 2.0]), min_size=9, max_size=9), min_size=0, max_size=5
    ),
    k=st.integers(1, 12),
)
@settings(max_examples=60, deadline=None)
def test_top_items_are_those_of_sorting(rows: list[list[float]], k: int, dtype: torch.dtype, few: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "SMALL", few)
        check(torch.tensor(rows, dtype=dtype).view(-1, 9), k)


@pytest.mark.parametrize("levels", [1, 2, 40, 1_000_000])
@pytest.mark.parametrize("k", [1, 10, 200, 2999, 3000, 5000])
def test_large_catalogues_in_batches(k: int, levels: int) -> None:
    """Rows from all ties to few ties; some rows and some items are excluded entirely."""
    drawn = np.random.default_rng(k).integers(0, levels, (12, 3001))
    scores = torch.from_numpy(drawn).float()
    scores[3] = -INF
    scores[4, 5:2900] = -INF
    for dtype in (torch.float32, torch.float64):
        check(scores.to(dtype), k)


@pytest.mark.parametrize("few", [0, 1 << 20])
@pytest.mark.parametrize("k", [1, 2, 3, 9])
@pytest.mark.parametrize("place", [1, 3, 5])
def test_a_nan_is_an_error_wherever_it_is(place: int, k: int, few: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SMALL", few)
    scores = torch.arange(12.0).view(2, 6)
    scores[1, place] = torch.nan
    with pytest.raises(ValueError, match="the scores contain NaN") as caught:
        top_items(scores, k)
    assert isinstance(caught.value, UserError)


def network_of_equals() -> EASRecSpace:
    """Network with three distinct item vectors: items 1, 4, 7, …; 2, 5, 8, …; 3, 6, 9, …

    They are unit vectors: of others, a matrix product may round equal scores differently.
    """
    torch.manual_seed(2)
    config = SpaceConfig(n_items=50, max_length=6, hidden=8, inner=16, heads=2, layers=1, positions="none")
    network = EASRecSpace(config.compact(config.largest)).eval()
    with torch.no_grad():
        weight = network.embedding.items.weight
        weight[1:] = torch.eye(3, 8).repeat(17, 1)[:50]
    return network


@pytest.mark.parametrize("unseen", [False, True])
@pytest.mark.parametrize("k", [1, 5, 20, 50])
def test_what_is_served_is_what_evaluation_counts(k: int, unseen: bool) -> None:
    """Recommendations of a history, a stream and coverage agree, ties included."""
    network, history = network_of_equals(), [4, 7, 2, 50]
    plan: Any = StepPlan(network, torch.float64)
    ids, seen = torch.tensor([history]), torch.zeros(1, 51, dtype=torch.bool)
    seen[0, history] = unseen
    with torch.inference_mode():
        row = network(ids).masked_fill(seen, -INF)[0].tolist()
        classes = {value for value in row[1:] if value > -INF}
        streamed = plan.best(network.newest_state(ids).numpy(), k, seen)[1][0].tolist()
        evaluated = top_items(torch.tensor([row]), k)[1][0].tolist()
    names, _ = recommend_after(network, [str(item) for item in history], k, unseen, None)
    assert len(classes) == 3 and evaluated == sorted_items(row, k)
    there = min(k, 50 - 4 * unseen)
    assert [int(name) for name in names] == evaluated[:there] and streamed[:there] == evaluated[:there]


def test_a_network_that_has_diverged_recommends_nothing() -> None:
    network = network_of_equals()
    with torch.no_grad():
        network.embedding.items.weight[9] = torch.nan
    with pytest.raises(UserError, match="the scores contain NaN"):
        recommend_after(network, ["1"], 3, False, None)
