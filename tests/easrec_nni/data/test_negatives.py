"""Sampled negatives: items that are never drawn, and the probabilities of the others."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats

from easrec_nni.data import Dataset, LeaveOneOut, draw_negatives, leave_one_out
from easrec_nni.data import negatives as module

Log = tuple[NDArray[np.int32], NDArray[np.int64], LeaveOneOut]


def make_log(histories: list[list[int]]) -> Log:
    offsets = np.concatenate([[0], np.cumsum([len(each) for each in histories])]).astype(np.int64)
    return np.array(sum(histories, []), dtype=np.int32), offsets, leave_one_out(offsets)


def training_counts(log: Log, n_items: int) -> list[int]:
    """Count training interactions by item number, with a plain loop."""
    items, offsets, split = log
    counts = [0] * (n_items + 1)
    for user in range(len(offsets) - 1):
        for place in range(int(offsets[user]), int(split.train_end[user])):
            counts[items[place]] += 1
    return counts


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.lists(st.integers(1, 40), min_size=0, max_size=25), min_size=1, max_size=8).filter(
        lambda histories: any(len(each) >= 3 for each in histories)
    ),
    st.sampled_from(["pop100", "uni100"]),
    st.sampled_from(["valid", "test"]),
    st.integers(1, 45),
)
def test_rows_are_distinct_unseen_and_as_long_as_possible(
    histories: list[list[int]], protocol: str, part: str, k: int
) -> None:
    log = make_log(histories)
    drawn = draw_negatives(*log, 40, protocol, part, k=k, seed=3)
    evaluated = [history for history in histories if len(history) >= 3]
    assert drawn.items.shape == (len(evaluated), k) and drawn.items.dtype == np.int32
    short = 0
    for row, history in zip(drawn.items.tolist(), evaluated, strict=True):
        candidates = set(range(1, 41)) - set(history)
        drawn_items = [item for item in row if item]
        assert len(drawn_items) == len(set(drawn_items)) == min(k, len(candidates))
        assert set(drawn_items) <= candidates
        assert row == drawn_items + [0] * (k - len(drawn_items)), "padding is at the end"
        short += len(drawn_items) < k
    assert drawn.users_short == short


def sequential_draw(weights: list[float], k: int, rng: np.random.Generator) -> list[int]:
    """Draw k items one after the other, each in proportion to its weight among those left."""
    left = {item: weight for item, weight in enumerate(weights) if weight > 0}
    drawn_items: list[int] = []
    while len(drawn_items) < k:
        point = rng.random() * sum(left.values())
        for item in list(left):
            point -= left[item]
            if point <= 0:
                drawn_items.append(item)
                del left[item]
                break
    return drawn_items


@pytest.mark.parametrize("protocol", ["pop100", "uni100"])
@pytest.mark.parametrize("rounds", [6, 0], ids=["rejection", "gumbel"])
def test_distribution_is_that_of_sequential_drawing(
    protocol: str, rounds: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_ROUNDS", rounds)
    # Items 1..5 are trained on in the ratio 1 : 2 : 4 : 8 : 16; item 6 belongs to every evaluated copy of a user.
    copies = 1500
    training = [1] * 1000 + [2] * 2000 + [3] * 4000 + [4] * 8000 + [5] * 16002
    log = make_log([training, *[[6, 6, 6] for _ in range(copies)]])
    counts = training_counts(log, 6)
    assert counts[1:] == [1000, 2000, 4000, 8000, 16000, copies], "the last two interactions of a user are targets"
    weights = [float(count) if protocol == "pop100" else 1.0 for count in counts]
    weights[0] = weights[6] = 0.0
    drawn = draw_negatives(*log, 6, protocol, "test", k=3, seed=11).items[1:]
    rng = np.random.default_rng(5)
    expected = np.array([sequential_draw(weights, 3, rng) for _ in range(20 * copies)])
    for place in range(3):
        table = [np.bincount(each[:, place], minlength=7)[1:6] for each in (drawn, expected)]
        assert stats.chi2_contingency(table).pvalue > 1e-4
    pairs = [np.bincount(each[:, 0] * 7 + each[:, 1], minlength=49) for each in (drawn, expected)]
    possible = (pairs[0] + pairs[1]) > 0
    assert stats.chi2_contingency([pair[possible] for pair in pairs]).pvalue > 1e-4


@pytest.mark.parametrize("rounds", [1, 2])
def test_completing_a_half_drawn_row_keeps_the_distribution(rounds: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A very popular item makes rejection fail often: the fallback completes most rows."""
    monkeypatch.setattr(module, "_ROUNDS", rounds)
    copies = 2000
    log = make_log([[1] * 200 + [2, 3, 4, 5], *[[6, 6, 6] for _ in range(copies)]])
    counts = training_counts(log, 6)
    assert counts[1:6] == [200, 1, 1, 0, 0]
    drawn = draw_negatives(*log, 6, "pop100", "valid", k=4, seed=2).items[1:]
    assert (np.sort(drawn[:, :3], axis=1) == [1, 2, 3]).all(), "items of weight 0 come last"
    last = np.bincount(drawn[:, 3], minlength=6)[4:6]
    assert stats.binomtest(int(last[0]), copies).pvalue > 1e-4
    weights = [0.0, *map(float, counts[1:4]), 0.0, 0.0, 0.0]
    rng = np.random.default_rng(1)
    expected = np.array([sequential_draw(weights, 3, rng) for _ in range(20 * copies)])
    table = np.array([np.bincount(each[:, 1], minlength=4)[1:4] for each in (drawn, expected)])
    assert stats.chi2_contingency(table).pvalue > 1e-4


@given(
    st.lists(st.lists(st.integers(0, 9), min_size=7, max_size=7), min_size=1, max_size=5),
    st.lists(st.lists(st.integers(1, 9), max_size=6), min_size=5, max_size=5),
    st.integers(1, 7),
    st.sampled_from([10, 1 << 40]),
)
def test_first_valid_candidates_match_a_plain_loop(
    candidates: list[list[int]], histories: list[list[int]], k: int, width: int
) -> None:
    """Also where item and place together need more than 32 bits, and for some rows alone."""
    taken = [{0, *history} for history in histories[: len(candidates)]]
    expected = []
    for row, history in zip(candidates, taken, strict=True):
        drawn_items: list[int] = []
        for item in row:
            if item not in history and item not in drawn_items and len(drawn_items) < k:
                drawn_items.append(item)
        expected.append(drawn_items + [0] * (k - len(drawn_items)))
    keys = np.array([row * width + item for row, history in enumerate(taken) for item in sorted(history)])
    assert module._first_valid(np.array(candidates), keys, width, k).tolist() == expected
    rows = np.arange(0, len(candidates), 2)
    some = module._first_valid(np.array(candidates)[rows], module._keys_of(rows, keys, width), width, k)
    assert some.tolist() == expected[::2]


def test_catalogue_of_28_items() -> None:
    rng = np.random.default_rng(0)
    histories = [rng.choice(np.arange(1, 29), size=length, replace=False).tolist() for length in [3, 5, 27, 28] * 5]
    drawn = draw_negatives(*make_log(histories), 28, "pop100", "test")
    assert drawn.items.shape == (20, 100) and drawn.users_short == 20
    for row, history in zip(drawn.items, histories, strict=True):
        assert sorted(row[row > 0].tolist()) == sorted(set(range(1, 29)) - set(history))


def test_chunks_of_users_do_not_overlap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_USERS_PER_CHUNK", 3)
    rng = np.random.default_rng(4)
    histories = [rng.integers(1, 51, size=rng.integers(1, 9)).tolist() for _ in range(20)]
    log = make_log(histories)
    drawn = draw_negatives(*log, 50, "uni100", "valid", k=20).items
    for row, user in zip(drawn.tolist(), log[2].test.users.tolist(), strict=True):
        assert not set(row) & {0, *histories[user]} and len(set(row)) == 20


def test_seed_protocol_and_part_each_change_the_draw() -> None:
    log = make_log([list(range(1, 20)), list(range(5, 60)), [70, 71, 72]])
    base = draw_negatives(*log, 200, "uni100", "valid", k=10, seed=0).items
    assert (base == draw_negatives(*log, 200, "uni100", "valid", k=10, seed=0).items).all()
    assert (base != draw_negatives(*log, 200, "uni100", "valid", k=10, seed=1).items).any()
    assert (base != draw_negatives(*log, 200, "uni100", "test", k=10, seed=0).items).any()
    assert (base != draw_negatives(*log, 200, "pop100", "valid", k=10, seed=0).items).any()


@pytest.mark.parametrize(("protocol", "part"), [("pop", "valid"), ("pop100", "train")])
def test_unknown_protocol_or_part(protocol: str, part: str) -> None:
    with pytest.raises(ValueError, match="protocol must be one of"):
        draw_negatives(*make_log([[1, 2, 3]]), 5, protocol, part)


def test_real_popularity(ml100k: Dataset) -> None:
    """On MovieLens, popularity-sampled first negatives are popular, uniform ones are not."""
    counts = training_counts((ml100k.items, ml100k.offsets, ml100k.split), ml100k.n_items)
    popularity = np.array(counts)
    mean = {name: popularity[ml100k.negatives(name, "test")[:, 0]].mean() for name in ("pop100", "uni100")}
    assert mean["pop100"] > 2.5 * mean["uni100"]
    for name in ("pop100", "uni100"):
        rows = ml100k.negatives(name, "valid")
        for row, user in zip(rows, ml100k.split.test.users, strict=True):
            history = ml100k.items[ml100k.offsets[user] : ml100k.offsets[user + 1] - 1]  # without the test target
            assert len(np.unique(row)) == 100 and not np.isin(row, history).any() and row.min() >= 1
