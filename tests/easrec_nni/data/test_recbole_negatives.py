"""Negatives of evaluations: RecBole's, and validation negatives without leakage."""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats

from easrec_nni.data import Dataset, draw_negatives, leave_one_out, load_dataset, recbole_negatives
from easrec_nni.data import validation_negatives as completed
from easrec_nni.data.negatives import used_negatives

PARTS = ("valid", "test")
Histories = list[list[int]]


def used(histories: Histories, n_items: int, protocol: str, part: str, k: int, seed: int = 0) -> NDArray[np.int32]:
    offsets = np.concatenate([[0], np.cumsum([len(past) for past in histories])]).astype(np.int64)
    items, split = np.array(sum(histories, []), dtype=np.int32), leave_one_out(offsets)
    stored = {}
    if protocol != "pop100_recbole":
        drawn = draw_negatives(items, offsets, split, n_items, protocol, part, k=k, seed=seed)
        stored[f"{protocol}_{part}"] = drawn.items
    return used_negatives(stored, items, offsets, split, n_items, protocol, part, k, seed)


def as_recbole(histories: Histories, part: str, k: int, rng: np.random.Generator) -> list[set[int]]:
    """Draw k negatives for each evaluated user as RecBole does, with a plain loop.

    Interactions that have one before them are drawn, again where the item is the target.
    """
    following = [item for history in histories for item in history[1:]]
    rows = []
    for history in (past for past in histories if len(past) >= 3):
        target = history[-1 if part == "test" else -2]
        row = []
        while len(row) < k and any(item != target for item in following):
            item = following[rng.integers(len(following))]
            if item != target:
                row.append(item)
        rows.append(set(row))
    return rows


def same_frequencies(ours: list[set[int]], theirs: list[set[int]]) -> float:
    """Smaller p-value of two tests: frequencies of items, and of distinct items in a row."""
    values = []
    for count in (lambda rows: Counter(item for row in rows for item in row), lambda rows: Counter(map(len, rows))):
        mine, other = count(ours), count(theirs)
        table = np.array([[mine[key], other[key]] for key in sorted(mine.keys() | other.keys())])
        rare = table.sum(axis=1) < 10
        table = np.vstack([table[~rare], table[rare].sum(axis=0, keepdims=True)])
        table = table[table.sum(axis=1) > 0]
        values.append(stats.chi2_contingency(table).pvalue if len(table) > 1 else 1.0)
    return min(values)


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("chunk", [2048, 7])
def test_recboles_negatives_are_distributed_as_in_a_plain_loop(
    part: str, chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recbole_negatives, "_USERS_PER_CHUNK", chunk)
    # Item 9 is always the first, 10 only ever a validation target, 11 only a test target; 12 has one interaction.
    kinds = [[9, 1, 2, 1, 3], [9, 2, 1, 10, 2], [9, 4, 5, 6, 11], [9, 7, 1, 8, 1]]
    histories = kinds * 600 + [[1, 12], [9], []]
    observed = used(histories, 12, "pop100_recbole", part, k=8)
    ours = [set(row) - {0} for row in observed.tolist()]
    theirs = as_recbole(histories, part, 8, np.random.default_rng(5))
    assert observed.dtype == np.int32 and observed.shape == (2400, 8)
    for kind in range(4):
        mine, other = ours[kind::4], theirs[kind::4]
        target = kinds[kind][-1 if part == "test" else -2]
        assert not any(target in row or 9 in row for row in mine)
        assert same_frequencies(mine, other) > 1e-4
        # A user's history is not left out, as it is by pop100.
        assert set.union(*mine) & set(kinds[kind]) - {target}


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.lists(st.integers(1, 6), min_size=0, max_size=9), min_size=1, max_size=6).filter(
        lambda histories: any(len(past) >= 3 for past in histories)
    ),
    st.sampled_from(PARTS),
    st.integers(1, 30),
)
def test_recboles_rows_hold_distinct_following_items_but_the_target(histories: Histories, part: str, k: int) -> None:
    following = {item for history in histories for item in history[1:]}
    rows = used(histories, 6, "pop100_recbole", part, k)
    for row, history in zip(rows.tolist(), (past for past in histories if len(past) >= 3), strict=True):
        drawn_items, candidates = [item for item in row if item], following - {history[-1 if part == "test" else -2]}
        assert len(drawn_items) == len(set(drawn_items)) and set(drawn_items) <= candidates
        assert bool(drawn_items) == bool(candidates)


def test_recboles_negatives_come_from_the_seed_alone(tiny_dataset: Dataset, tmp_path: Path) -> None:
    """Stored figures, which must not depend on the machine or the version of NumPy."""
    log = [[1, 2, 3, 4, 5, 6], [2, 3, 4, 1, 6], [5, 4, 3]]
    valid, test = (used(log, 6, "pop100_recbole", part, 5, seed).tolist() for part, seed in (("valid", 0), ("test", 3)))
    assert valid == [[1, 2, 0, 3, 4], [3, 0, 0, 4, 5], [1, 3, 0, 6, 0]]
    assert test == [[1, 0, 2, 4, 0], [1, 4, 0, 0, 0], [2, 4, 0, 5, 0]]
    # A dataset that was prepared before there were these has no file of them, and none is written.
    copy = load_dataset(shutil.copytree(tiny_dataset.path, tmp_path / "copy"), verify=True)
    assert copy.fingerprint == tiny_dataset.fingerprint
    for part in PARTS:
        assert (
            copy.negatives("pop100_recbole", part).tolist() == tiny_dataset.negatives("pop100_recbole", part).tolist()
        )
    assert sorted(file.name for file in (copy.path / "negatives").iterdir()) == [
        f"{protocol}_{part}.npy" for protocol in ("pop100", "uni100") for part in ("test", "valid")
    ]


def draw_one_by_one(weights: dict[int, float], k: int, rng: np.random.Generator) -> list[int]:
    """Draw items in proportion to their weights among those left; weightless ones last, evenly."""
    left, drawn_items = dict(weights), []
    while left and len(drawn_items) < k:
        possible = {item: weight for item, weight in left.items() if weight} or dict.fromkeys(left, 1.0)
        total = sum(possible.values())
        drawn_items.append(int(rng.choice(list(possible), p=[weight / total for weight in possible.values()])))
        del left[drawn_items[-1]]
    return drawn_items


# The user is [6, 7, target of validation 8, target of test]; weights are training counts.
@pytest.mark.parametrize(
    ("target", "counts"),
    [
        (5, {1: 1, 2: 2, 3: 4, 4: 8, 5: 3}),
        (4, {1: 0, 2: 2, 3: 0, 4: 0, 5: 3}),  # weightless: after the others with weight, among those without
        (1, {1: 5, 2: 2, 3: 0, 4: 0, 5: 0}),
        (6, {1: 1, 2: 2, 3: 4, 4: 8, 5: 3}),  # was in the history before: never a negative
    ],
)
@pytest.mark.parametrize("protocol", ["pop100", "uni100"])
@pytest.mark.parametrize("k", [3, 7])
def test_validation_negatives_are_a_draw_that_does_not_know_the_test_target(
    protocol: str, k: int, target: int, counts: dict[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(completed, "_USERS_PER_CHUNK", 500)
    copies = 3000
    trained = [item for item, count in counts.items() for _ in range(count)]
    histories = [[6, 7, 8, target] for _ in range(copies)] + [[item] for item in trained]
    rows = used(histories, 8, protocol, "valid", k)
    weights = {item: float(count) if protocol == "pop100" else 1.0 for item, count in counts.items()}
    rng = np.random.default_rng(2)
    expected = Counter(tuple(draw_one_by_one(weights, k, rng)) for _ in range(copies))
    tally = Counter(tuple(item for item in row if item) for row in rows.tolist())
    assert all(len(row) == min(k, 5) for row in tally), "as many as there are candidates, at the beginning of the row"
    assert (rows[:, min(k, 5) :] == 0).all()
    table = np.array([[tally[row], expected[row]] for row in sorted(tally.keys() | expected.keys())])
    rare = table.sum(axis=1) < 10
    table = np.vstack([table[~rare], table[rare].sum(axis=0, keepdims=True)])
    table = table[table.sum(axis=1) > 0]
    assert len(table) > 1 and stats.chi2_contingency(table).pvalue > 1e-4
    assert any(target in row for row in tally) == (target != 6)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.lists(st.integers(1, 15), min_size=0, max_size=12), min_size=1, max_size=8).filter(
        lambda histories: any(len(past) >= 3 for past in histories)
    ),
    st.sampled_from(["pop100", "uni100"]),
    st.sampled_from(PARTS),
    st.integers(1, 20),
)
def test_rows_have_what_was_not_met_by_the_target_of_the_part(
    histories: Histories, protocol: str, part: str, k: int
) -> None:
    rows = used(histories, 15, protocol, part, k, seed=3)
    for row, history in zip(rows.tolist(), (past for past in histories if len(past) >= 3), strict=True):
        candidates = set(range(1, 16)) - set(history if part == "test" else history[:-1])
        drawn_items = [item for item in row if item]
        assert len(drawn_items) == len(set(drawn_items)) == min(k, len(candidates)) and set(drawn_items) <= candidates
        assert row == drawn_items + [0] * (k - len(drawn_items))


def test_on_movielens_as_many_test_targets_as_would_be_drawn(ml100k: Dataset) -> None:
    split, items = ml100k.split, ml100k.items
    targets = items[split.test.places]
    counts = np.zeros(ml100k.n_items + 1)
    for user, end in enumerate(split.train_end):
        np.add.at(counts, items[ml100k.offsets[user] : end], 1)
    rng = np.random.default_rng(0)
    for protocol, weights in (("pop100", counts), ("uni100", np.ones(ml100k.n_items + 1))):
        drawn = 0
        for user, target, place in zip(split.test.users, targets, split.valid.places, strict=True):
            left = weights.copy()
            left[0] = left[items[ml100k.offsets[user] : place + 1]] = 0
            # The 100 smallest of exponential times at these rates are a draw without replacement.
            times = np.where(left > 0, rng.exponential(size=len(left)) / np.maximum(left, 1), np.inf)
            drawn += int(times[target] <= np.partition(times, 99)[99])
        observed = int((ml100k.negatives(protocol, "valid") == targets[:, None]).any(axis=1).sum())
        assert not (ml100k.negatives(protocol, "test") == targets[:, None]).any()
        assert abs(observed - drawn) < 5 * np.sqrt(2 * drawn), (protocol, observed, drawn)
        print(protocol, observed, drawn)
