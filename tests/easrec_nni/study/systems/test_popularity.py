"""Popularity compared with direct counts."""

from __future__ import annotations

import math
from collections import Counter

import pytest
import torch

from easrec_nni.data import Dataset
from easrec_nni.evaluation.scoring import evaluate
from easrec_nni.study.systems.popularity import Popularity


def counts_of(dataset: Dataset) -> Counter[int]:
    """Training interactions of each item."""
    counts: Counter[int] = Counter()
    for begin, end in zip(dataset.offsets[:-1].tolist(), dataset.offsets[1:].tolist(), strict=True):
        log = dataset.items[begin:end].tolist()
        counts.update(log[:-2] if len(log) >= 3 else log)
    return counts


@pytest.mark.parametrize("name", ["tiny_dataset", "ml100k"])
def test_scores_are_the_training_counts(name: str, request: pytest.FixtureRequest) -> None:
    dataset: Dataset = request.getfixturevalue(name)
    counts = counts_of(dataset)
    scores = Popularity(dataset)(torch.tensor([[0, 0, 3], [1, 2, 3]]))
    assert scores.shape == (2, dataset.n_items + 1)
    assert scores[0].tolist() == scores[1].tolist()  # the same for all users
    assert scores[0].tolist() == [-math.inf] + [float(counts[item]) for item in range(1, dataset.n_items + 1)]


@pytest.mark.parametrize("part", ["valid", "test"])
def test_figures_on_movielens_are_those_of_a_direct_computation(ml100k: Dataset, part: str) -> None:
    counts = counts_of(ml100k)
    ranks: dict[str, list[int]] = {"full": [], "pop100": []}
    for row, user in enumerate(ml100k.split.test.users):
        log = ml100k.items[ml100k.offsets[user] : ml100k.offsets[user + 1]].tolist()
        target = log[-1] if part == "test" else log[-2]
        everything = range(1, ml100k.n_items + 1)
        others = {"full": everything, "pop100": ml100k.negatives("pop100", part)[row].tolist()}
        for protocol, items in others.items():
            above = sum(counts[item] >= counts[target] for item in items if item not in (0, target))
            ranks[protocol].append(1 + above)
    expected = {}
    for protocol, values in ranks.items():
        users, hits = len(values), [rank for rank in values if rank <= 10]
        expected[f"recall@10_{protocol}"] = len(hits) / users
        expected[f"mrr@10_{protocol}"] = sum(1 / rank for rank in hits) / users
        expected[f"ndcg@10_{protocol}"] = sum(1 / math.log2(rank + 1) for rank in hits) / users
    assert evaluate(Popularity(ml100k), ml100k, part) == pytest.approx(expected)
