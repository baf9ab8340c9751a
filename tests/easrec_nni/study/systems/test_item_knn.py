"""Item-kNN compared with sets and loops."""

from __future__ import annotations

import dataclasses
import math
import tracemalloc

import numpy as np
import pytest
import torch
from scipy.sparse import csr_array

from easrec_nni.data import Dataset
from easrec_nni.evaluation.scoring import evaluate, rank_users
from easrec_nni.study.systems import item_knn
from easrec_nni.study.systems.item_knn import ItemKNN, nearest_items, training_matrix


def training_parts(dataset: Dataset) -> list[list[int]]:
    logs = [dataset.items[a:b].tolist() for a, b in zip(dataset.offsets[:-1], dataset.offsets[1:], strict=True)]
    return [log[:-2] if len(log) >= 3 else log for log in logs]


def dense_similarity(baskets: list[list[int]], n_items: int, neighbours: int) -> np.ndarray:
    """Reference: cosine of sets of users, pair by pair."""
    users = [{user for user, basket in enumerate(baskets) if item in basket} for item in range(n_items + 1)]
    result = np.zeros((n_items + 1, n_items + 1))
    for one in range(1, n_items + 1):
        for other in range(1, n_items + 1):
            if one != other and users[one] & users[other]:
                both = len(users[one] & users[other])
                result[one, other] = both / (math.sqrt(len(users[one])) * math.sqrt(len(users[other])))
        order = sorted(range(n_items + 1), key=lambda other: (-result[one, other], other))
        result[one, order[neighbours:]] = 0
    return result


@pytest.mark.parametrize("neighbours", [1, 3, 10, 100])
def test_similarities_are_the_cosines_of_the_nearest(tiny_dataset: Dataset, neighbours: int) -> None:
    similarity = ItemKNN(tiny_dataset, neighbours).similarity
    expected = dense_similarity(training_parts(tiny_dataset), tiny_dataset.n_items, neighbours)
    np.testing.assert_allclose(similarity.toarray(), expected, rtol=1e-6)
    assert np.diff(similarity.indptr).max() <= neighbours
    assert similarity.nnz == np.count_nonzero(expected)  # no zeros are stored


@pytest.mark.parametrize("recency", [True, False])
@pytest.mark.parametrize("leave_out_seen", [True, False])
@pytest.mark.parametrize("max_length", [2, 5])
def test_scores_are_sums_over_the_newest_items(
    tiny_dataset: Dataset, recency: bool, leave_out_seen: bool, max_length: int
) -> None:
    similarity = dense_similarity(training_parts(tiny_dataset), tiny_dataset.n_items, 6)
    model = ItemKNN(tiny_dataset, 6, max_length, recency, leave_out_seen)
    histories = [[0, 0, 0, 7], [1, 2, 3, 4], [9, 9, 5, 9], [0, 0, 0, 0]]
    expected = np.zeros((4, tiny_dataset.n_items + 1))
    for user, history in enumerate(histories):
        for age, item in enumerate(reversed(history[-max_length:]), start=1):
            expected[user] += similarity[item] / (age if recency else 1)
        if leave_out_seen:
            expected[user, history[-max_length:]] = -math.inf
    expected[:, 0] = -math.inf
    scores = model(torch.tensor(histories))
    assert scores.dtype == torch.float32
    np.testing.assert_allclose(scores.numpy(), expected, rtol=1e-5)


def test_the_newest_item_weighs_most() -> None:
    model = ItemKNN.__new__(ItemKNN)
    torch.nn.Module.__init__(model)
    model.similarity = csr_array(
        np.array([[0, 0, 0, 0], [0, 0, 0, 0.5], [0, 0, 0, 0.25], [0, 0.5, 0.25, 0]], np.float32)
    )
    model.max_length, model.recency, model.leave_out_seen = 3, True, False
    assert model(torch.tensor([[0, 1, 2]]))[0, 3].item() == 0.25 / 1 + 0.5 / 2
    assert model(torch.tensor([[0, 2, 1]]))[0, 3].item() == 0.5 / 1 + 0.25 / 2


def test_no_target_is_in_the_similarities(tiny_dataset: Dataset) -> None:
    items = np.array(tiny_dataset.items)
    split = tiny_dataset.split
    for places in (split.valid.places, split.test.places):
        items[places] = items[places] % tiny_dataset.n_items + 1
    other = dataclasses.replace(tiny_dataset, items=items)
    assert (other.items != tiny_dataset.items).any()
    assert (ItemKNN(other).similarity != ItemKNN(tiny_dataset).similarity).nnz == 0


@pytest.mark.parametrize("limit", [1, 40, 100])
def test_blocks_do_not_matter(tiny_dataset: Dataset, limit: int, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = ItemKNN(tiny_dataset, 4).similarity
    monkeypatch.setattr(item_knn, "LARGEST_BLOCK", limit)
    ranges = list(item_knn._blocks(training_matrix(tiny_dataset).T.tocsr(), training_matrix(tiny_dataset)))
    assert len(ranges) > 1 and ranges[0][0] == 0 and ranges[-1][1] == tiny_dataset.n_items + 1
    assert all(first[1] == second[0] for first, second in zip(ranges, ranges[1:], strict=False))
    assert (ItemKNN(tiny_dataset, 4).similarity != whole).nnz == 0


def test_memory_is_not_that_of_all_pairs(monkeypatch: pytest.MonkeyPatch) -> None:
    users, n_items, size = 300, 1000, 40
    random = np.random.default_rng(0)
    items = np.sort(np.stack([random.choice(n_items, size, replace=False) + 1 for _ in range(users)]), axis=1)
    had = csr_array(
        (np.ones(users * size), items.ravel(), np.arange(0, users * size + 1, size)),
        (users, n_items + 1),
    )
    monkeypatch.setattr(item_knn, "LARGEST_BLOCK", 3000)
    tracemalloc.start()
    similarity = nearest_items(had, 5)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert similarity.nnz <= 5 * n_items
    assert peak < 2_000_000  # bytes; without blocks 6.6 million, as a dense matrix 8 million


@pytest.mark.parametrize(("returning", "left_out"), [(0, True), (1, True), (3, False)])
def test_what_a_user_had_is_left_out_where_nobody_returns(
    tiny_dataset: Dataset, returning: int, left_out: bool
) -> None:
    # A log of 200 different interactions, of which some are made to repeat the user's item before.
    items = (np.arange(200, dtype=np.int32) % 30) + 1
    for n in range(returning):
        items[20 * n + 1] = items[20 * n]
    offsets = np.arange(0, 201, 20)
    changes = {"items": items, "offsets": offsets, "user_ids": np.array([f"u{n}" for n in range(10)])}
    dataset = dataclasses.replace(tiny_dataset, **changes)
    assert ItemKNN(dataset).leave_out_seen is left_out
    assert ItemKNN(dataset, leave_out_seen=True).leave_out_seen is True
    assert ItemKNN(dataset, leave_out_seen=False).leave_out_seen is False
    assert training_matrix(dataset).max() == (2 if returning else 1)
    assert ItemKNN(dataset).similarity.max() <= 1 + 1e-6  # however often a user had an item


@pytest.mark.parametrize("name", ["neighbours", "max_length"])
def test_numbers_below_one_are_refused(tiny_dataset: Dataset, name: str) -> None:
    with pytest.raises(ValueError, match="must be 1 or more"):
        ItemKNN(tiny_dataset, **{name: 0})


def test_evaluation_hands_it_as_many_items_as_it_looks_back_on(tiny_dataset: Dataset) -> None:
    model = ItemKNN(tiny_dataset, max_length=4)
    ranks = rank_users(model, tiny_dataset, "test", protocols=("full", "uni100"))
    again = rank_users(ItemKNN(tiny_dataset, max_length=4), tiny_dataset, "test", max_length=100)
    assert ranks["full"].tolist() == again["full"].tolist()
    other = rank_users(ItemKNN(tiny_dataset, max_length=1), tiny_dataset, "test")
    assert ranks["full"].tolist() != other["full"].tolist()


@pytest.mark.parametrize(
    ("options", "ndcg"), [({}, 0.0760), ({"recency": False}, 0.0518), ({"leave_out_seen": False}, 0.0464)]
)
def test_figures_on_movielens_are_those_that_the_documentation_has(
    ml100k: Dataset, options: dict[str, bool], ndcg: float
) -> None:
    figures = evaluate(ItemKNN(ml100k, **options), ml100k, "valid", protocols=("full",))
    assert figures["ndcg@10_full"] == pytest.approx(ndcg, abs=5e-4)


def test_leaving_out_is_worth_nothing_where_it_is_done_for_everybody(ml100k: Dataset) -> None:
    both = [ItemKNN(ml100k, leave_out_seen=rule, max_length=1000) for rule in (True, False)]
    ranks = [rank_users(model, ml100k, "valid", protocols=("unseen", "pop100", "uni100")) for model in both]
    for protocol in ("unseen", "pop100", "uni100"):
        assert ranks[0][protocol].tolist() == ranks[1][protocol].tolist()
