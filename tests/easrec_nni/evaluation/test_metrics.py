"""Metrics against hand-computed values, user gains and ir-measures."""

from __future__ import annotations

import math

import ir_measures
import numpy as np
import pytest
import torch
from ir_measures import RR, R, nDCG
from scipy.stats import sem
from torch import Tensor

from easrec_nni.evaluation.metrics import (
    cut_offs,
    figure_standard_error,
    metrics_from_ranks,
    standard_error,
    user_gains,
)
from easrec_nni.evaluation.ranks import full_ranks, sampled_ranks


def test_metrics_by_hand() -> None:
    result = metrics_from_ranks(torch.tensor([1, 2, 10, 11, 500]), k=10, protocol="pop100")
    assert set(result) == {"recall@10_pop100", "mrr@10_pop100", "ndcg@10_pop100"}
    assert result["recall@10_pop100"] == pytest.approx(3 / 5)
    assert result["mrr@10_pop100"] == pytest.approx((1 + 1 / 2 + 1 / 10) / 5)
    assert result["ndcg@10_pop100"] == pytest.approx((1 + 1 / math.log2(3) + 1 / math.log2(11)) / 5)


@pytest.mark.parametrize("k", [1, 3, 10])
def test_cut_off_is_in_the_name_and_in_the_value(k: int) -> None:
    result = metrics_from_ranks(np.array([1, 2, 3, 4]), k=k, protocol="full")
    kept = [rank for rank in (1, 2, 3, 4) if rank <= k]
    assert result[f"recall@{k}_full"] == pytest.approx(len(kept) / 4)
    assert result[f"mrr@{k}_full"] == pytest.approx(sum(1 / rank for rank in kept) / 4)


def test_several_cut_offs_are_each_alone() -> None:
    ranks = np.random.default_rng(0).integers(1, 30, 50)
    expected = {k: metrics_from_ranks(ranks, k, "uni100") for k in (20, 1, 5)}
    assert metrics_from_ranks(ranks, (20, 1, 5), "uni100") == {**expected[20], **expected[1], **expected[5]}
    assert len({**expected[20], **expected[1], **expected[5]}) == 9


@pytest.mark.parametrize("k", [0, -1, [], [5, 0]])
def test_other_cut_offs_are_refused(k: int | list[int]) -> None:
    with pytest.raises(ValueError, match="cut-offs must be whole numbers of at least 1"):
        cut_offs(k)
    with pytest.raises(ValueError, match="cut-offs must be whole numbers of at least 1"):
        metrics_from_ranks(np.array([1]), k, "full")


@pytest.mark.parametrize("k", [1, 10])
@pytest.mark.parametrize("metric", ["recall", "mrr", "ndcg"])
def test_metrics_are_means_of_the_users_gains(metric: str, k: int) -> None:
    ranks = np.array([[1, 2, 3, 9], [10, 11, 200, 1]])
    gain = {"recall": lambda rank: 1.0, "mrr": lambda rank: 1 / rank, "ndcg": lambda rank: 1 / math.log2(rank + 1)}
    expected = [[gain[metric](rank) if rank <= k else 0.0 for rank in row] for row in ranks.tolist()]
    assert user_gains(ranks, metric, k) == pytest.approx(np.array(expected))
    assert metrics_from_ranks(ranks[1], k, "full")[f"{metric}@{k}_full"] == pytest.approx(np.mean(expected[1]))


@pytest.mark.parametrize("ranks", [[0, 1], [-1], [1, math.nan]])
def test_other_ranks_are_refused(ranks: list[float]) -> None:
    with pytest.raises(ValueError, match="ranks must be whole numbers of at least 1"):
        user_gains(np.array(ranks), "ndcg", 10)


def test_other_metrics_are_refused() -> None:
    with pytest.raises(ValueError, match="unknown metric 'map'; choose from recall, mrr, ndcg"):
        user_gains(np.array([1]), "map", 10)


def test_no_ranks_are_an_error() -> None:
    with pytest.raises(ValueError, match="no user was evaluated"):
        metrics_from_ranks(torch.tensor([]), k=10, protocol="full")


@pytest.mark.parametrize("k", [1, 10])
@pytest.mark.parametrize("protocol", ["full", "pop100"])
def test_standard_error_is_that_of_the_users_gains(k: int, protocol: str) -> None:
    rng = np.random.default_rng(0)
    ranks = {name: rng.integers(1, 30, 200) for name in ("full", "pop100")}
    gains = [1 / math.log2(rank + 1) if rank <= k else 0.0 for rank in ranks[protocol]]
    assert figure_standard_error(ranks, f"ndcg@{k}_{protocol}") == pytest.approx(sem(gains))
    assert figure_standard_error({"full": ranks["full"][:1]}, f"recall@{k}_full") == 0


def test_standard_error_of_several_seeds_is_that_of_users_means() -> None:
    gains = np.random.default_rng(0).random((3, 40))
    assert standard_error(gains) == pytest.approx(sem(gains.mean(axis=0)))
    assert standard_error(gains[0]) == pytest.approx(sem(gains[0]))
    assert standard_error(gains[0]) != pytest.approx(standard_error(gains))
    assert standard_error(gains[:, :1]) is None and standard_error(gains[0, :1]) is None
    assert standard_error(np.zeros(5)) == 0


def run_of(scores: Tensor, items: list[list[int]]) -> list[ir_measures.ScoredDoc]:
    return [
        ir_measures.ScoredDoc(str(user), str(item), float(scores[user, item]))
        for user, allowed in enumerate(items)
        for item in allowed
    ]


@pytest.mark.parametrize("protocol", ["full", "pop100", "unseen"])
def test_metrics_are_those_of_ir_measures(protocol: str) -> None:
    users, n_items = 60, 40
    generator = np.random.default_rng(5)
    # A permutation for each user: no ties, which others break by name.
    order = np.stack([generator.permutation(n_items + 1) for _ in range(users)])
    scores = torch.from_numpy(order).float()
    targets = torch.from_numpy(generator.integers(1, n_items + 1, users))
    catalogue = range(1, n_items + 1)
    if protocol == "full":
        ranks, items = full_ranks(scores, targets), [list(catalogue)] * users
    elif protocol == "unseen":
        histories = torch.from_numpy(generator.integers(0, n_items + 1, (users, 15)))
        ranks = full_ranks(scores, targets, histories)
        items = [
            [item for item in catalogue if item == target or item not in history]
            for target, history in zip(targets.tolist(), histories.tolist(), strict=True)
        ]
    else:
        drawn = [
            generator.choice([item for item in catalogue if item != target], 20, replace=False).tolist()
            for target in targets.tolist()
        ]
        ranks = sampled_ranks(scores, targets, torch.tensor(drawn))
        items = [[target, *row] for target, row in zip(targets.tolist(), drawn, strict=True)]
    relevant = [ir_measures.Qrel(str(user), str(target), 1) for user, target in enumerate(targets.tolist())]
    theirs = ir_measures.calc_aggregate([R @ 10, RR @ 10, nDCG @ 10], relevant, run_of(scores, items))
    ours = metrics_from_ranks(ranks, 10, protocol)
    assert ours[f"recall@10_{protocol}"] == pytest.approx(theirs[R @ 10], abs=1e-9)
    assert ours[f"mrr@10_{protocol}"] == pytest.approx(theirs[RR @ 10], abs=1e-9)
    assert ours[f"ndcg@10_{protocol}"] == pytest.approx(theirs[nDCG @ 10], abs=1e-9)
    assert 0.1 < ours[f"recall@10_{protocol}"] < 0.9
