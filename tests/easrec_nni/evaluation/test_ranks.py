"""Ranks against hand-computed values and brute force."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from easrec_nni.evaluation.ranks import full_ranks, sampled_ranks

INF = float("inf")


def brute_force(scores: list[float], target: int, others: list[int]) -> int:
    """1 + the number of other items with at least the target's score."""
    return 1 + sum(scores[item] >= scores[target] for item in others if item not in (0, target))


@pytest.mark.parametrize(
    "scores, target, rank",
    [
        ([-INF, 3.0, 2.0, 1.0], 1, 1),
        ([-INF, 3.0, 2.0, 1.0], 2, 2),
        ([-INF, 3.0, 2.0, 1.0], 3, 3),
        # Ties count against the model, wherever the target stands among its equals.
        ([-INF, 2.0, 2.0, 1.0], 1, 2),
        ([-INF, 2.0, 2.0, 1.0], 2, 2),
        ([-INF, 1.0, 2.0, 2.0], 3, 2),
        ([-INF, 5.0, 5.0, 5.0], 1, 3),
        ([-INF, 5.0, 5.0, 5.0], 3, 3),
        ([-INF, -INF, -INF, 0.0], 1, 3),
        # Padding is no item, whatever its score.
        ([9.0, 3.0, 2.0, 1.0], 1, 1),
        ([3.0, 3.0, 2.0, 1.0], 1, 1),
    ],
)
def test_full_rank_by_hand(scores: list[float], target: int, rank: int) -> None:
    assert full_ranks(torch.tensor([scores]), torch.tensor([target])).tolist() == [rank]


@pytest.mark.parametrize(
    "negatives, rank",
    [
        ([2, 3, 4], 2),
        ([3, 4, 5], 1),
        ([2, 2, 2], 4),
        ([6, 3, 4], 2),  # a tie
        ([0, 0, 0], 1),  # no negatives at all
        ([2, 0, 0], 2),
        ([6, 2, 0], 3),
    ],
)
def test_sampled_rank_by_hand(negatives: list[int], rank: int) -> None:
    # The padding's score is the best of all and must not count.
    scores = torch.tensor([[9.0, 5.0, 7.0, 1.0, 2.0, 3.0, 5.0]])
    assert sampled_ranks(scores, torch.tensor([1]), torch.tensor([negatives])).tolist() == [rank]


@given(
    rows=st.lists(st.lists(st.integers(-3, 3), min_size=9, max_size=9), min_size=1, max_size=4),
    seed=st.integers(0, 10_000),
)
@settings(max_examples=60, deadline=None)
def test_ranks_are_those_of_brute_force(rows: list[list[int]], seed: int) -> None:
    # Few distinct scores: most ranks have ties.
    generator = np.random.default_rng(seed)
    scores = torch.tensor(rows).float()
    targets = torch.from_numpy(generator.integers(1, 9, len(rows)))
    everything = list(range(1, 9))
    full = full_ranks(scores, targets)
    assert full.tolist() == [brute_force(row, int(t), everything) for row, t in zip(rows, targets, strict=True)]
    # Negatives are never the user's own items; 0 fills up.
    negatives = torch.from_numpy(generator.integers(0, 9, (len(rows), 5)))
    negatives[negatives == targets[:, None]] = 0
    sampled = sampled_ranks(scores, targets, negatives)
    assert sampled.tolist() == [
        brute_force(row, int(t), drawn) for row, t, drawn in zip(rows, targets, negatives.tolist(), strict=True)
    ]
    histories = torch.from_numpy(generator.integers(0, 9, (len(rows), 6)))
    unseen = full_ranks(scores, targets, histories)
    assert unseen.tolist() == [
        brute_force(row, int(t), [item for item in everything if item not in history])
        for row, t, history in zip(rows, targets, histories.tolist(), strict=True)
    ]


def test_history_is_left_out_but_never_the_target() -> None:
    scores = torch.tensor([[-INF, 1.0, 4.0, 3.0, 2.0]])
    target = torch.tensor([1])
    assert full_ranks(scores, target).tolist() == [4]
    assert full_ranks(scores, target, torch.tensor([[2, 0]])).tolist() == [3]
    assert full_ranks(scores, target, torch.tensor([[2, 1, 4]])).tolist() == [2]
    assert full_ranks(scores, target, torch.tensor([[2, 3, 4, 1, 1]])).tolist() == [1]
    assert full_ranks(scores, target, torch.tensor([[0, 0]])).tolist() == [4]


@pytest.mark.parametrize("place", [0, 2, 5])
def test_a_nan_anywhere_is_an_error(place: int) -> None:
    scores, target = torch.zeros(2, 6), torch.tensor([2, 3])
    scores[1, place] = torch.nan
    with pytest.raises(ValueError, match="the scores contain NaN: the network has diverged"):
        full_ranks(scores, target)
    with pytest.raises(ValueError, match="the scores contain NaN"):
        sampled_ranks(scores, target, torch.tensor([[1], [1]]))
