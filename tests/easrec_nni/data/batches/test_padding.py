"""Training samples against plain loops over the users."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from easrec_nni.data import Dataset
from easrec_nni.data.batches.padding import prefix_samples, windows
from tests.easrec_nni.data.batches.parts import DATASETS, Log, Pieces, dataset_of, pieces_of, training_parts


def check_windows(dataset: Dataset | Log, max_length: int) -> None:
    pieces = pieces_of(windows(dataset, max_length))  # type: ignore[arg-type]
    # In a piece every position but the first is a target.
    targets = Counter(place for begin, end in pieces for place in range(begin + 1, end))
    wanted = [place for begin, end in training_parts(dataset) for place in range(begin + 1, end)]
    assert targets == Counter(wanted)
    owner = {place: user for user, (b, e) in enumerate(training_parts(dataset)) for place in range(b, e)}
    for begin, end in pieces:
        assert 2 <= end - begin <= max_length + 1
        assert owner[begin] == owner[end - 1]  # inside one user's training part: both places are in one
    # Cut from the newest end: of a user's pieces only the oldest may be shorter.
    by_user: dict[int, Pieces] = {}
    for begin, end in pieces:
        by_user.setdefault(owner[begin], []).append((begin, end))
    for user, mine in by_user.items():
        newest_first = sorted(mine, reverse=True)
        assert newest_first[0][1] == training_parts(dataset)[user][1]
        assert all(end - begin == max_length + 1 for begin, end in newest_first[:-1])
        # Neighbours share the item that is the last target of one and the first input of the other.
        assert all(later[0] == earlier[1] - 1 for later, earlier in zip(newest_first, newest_first[1:], strict=False))


@pytest.mark.parametrize("max_length", [1, 3, 5, 200])
@DATASETS
def test_every_training_interaction_but_the_first_is_a_target_once(
    name: str, max_length: int, request: pytest.FixtureRequest
) -> None:
    dataset = dataset_of(name, request)
    check_windows(dataset, max_length)
    # And so none of the held-out interactions is in a piece.
    used = {place for begin, end in pieces_of(windows(dataset, max_length)) for place in range(begin, end)}
    split = dataset.split
    assert used.isdisjoint(split.valid.places.tolist())
    assert used.isdisjoint(split.test.places.tolist())


@given(lengths=st.lists(st.integers(0, 14), min_size=1, max_size=8), max_length=st.integers(1, 6))
@settings(max_examples=100, deadline=None)
def test_windows_of_any_log(lengths: list[int], max_length: int) -> None:
    log = Log(lengths)
    check_windows(log, max_length)
    check_overlapping(log, max_length)
    # The newest piece of each user alone.
    newest = pieces_of(windows(log, max_length, history="newest"))  # type: ignore[arg-type]
    parts = [(begin, end) for begin, end in training_parts(log) if end - begin >= 2]
    assert newest == [(max(begin, end - max_length - 1), end) for begin, end in parts]


def check_overlapping(dataset: Dataset | Log, max_length: int) -> None:
    starts, ends, counts = windows(dataset, max_length, "overlapping")  # type: ignore[arg-type]
    expected = {
        place: begin for begin, end in training_parts(dataset) for place in range(begin + 1, end)
    }  # of each target, the user's first interaction
    target_places = []
    for start, end, count in zip(starts.tolist(), ends.tolist(), counts.tolist(), strict=True):
        assert 1 <= count < end - start <= max_length + 1
        for place in range(end - count, end):
            target_places.append(place)
            assert place - start >= min(place - expected[place], max_length // 2 + 1)
    assert sorted(target_places) == sorted(expected)


@pytest.mark.parametrize("max_length", [1, 2, 5, 50])
@DATASETS
def test_overlapping_pieces_give_each_target_half_of_the_window(
    name: str, max_length: int, request: pytest.FixtureRequest
) -> None:
    check_overlapping(dataset_of(name, request), max_length)


def check_prefixes(dataset: Dataset | Log, max_length: int) -> None:
    expected = []
    for begin, end in training_parts(dataset):
        for target in range(begin + 1, end):
            expected.append((max(begin, target - max_length), target + 1))
    assert pieces_of(prefix_samples(dataset, max_length)) == expected  # type: ignore[arg-type]


@pytest.mark.parametrize("max_length", [1, 4, 50])
@DATASETS
def test_every_prefix_is_a_sample(name: str, max_length: int, request: pytest.FixtureRequest) -> None:
    check_prefixes(dataset_of(name, request), max_length)


@given(lengths=st.lists(st.integers(0, 14), min_size=1, max_size=8), max_length=st.integers(1, 6))
@settings(max_examples=50, deadline=None)
def test_prefixes_of_any_log(lengths: list[int], max_length: int) -> None:
    check_prefixes(Log(lengths), max_length)
