"""The leave-one-out split."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from easrec_nni.data import Dataset, leave_one_out


@given(st.lists(st.integers(0, 12), min_size=1, max_size=30))
def test_split_matches_plain_loop(lengths: list[int]) -> None:
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    split = leave_one_out(offsets)
    users, ends, valid, test = [], [], [], []
    for user, length in enumerate(lengths):
        history = list(range(int(offsets[user]), int(offsets[user + 1])))
        if length >= 3:
            users.append(user)
            test.append(history.pop())
            valid.append(history.pop())
        ends.append(int(offsets[user]) + len(history))
    assert split.test.users.tolist() == users
    assert split.train_end.tolist() == ends
    assert split.valid.places.tolist() == valid
    assert split.test.places.tolist() == test
    assert split.part("valid").places.tolist() == valid and split.part("test").places.tolist() == test
    with pytest.raises(KeyError):
        split.part("train")
    assert split.users_train_only == len(lengths) - len(users)
    assert split.test.users.dtype == split.train_end.dtype == split.test.places.dtype == np.int64


@given(st.lists(st.integers(0, 12), min_size=1, max_size=30))
def test_every_interaction_has_one_role(lengths: list[int]) -> None:
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    split = leave_one_out(offsets)
    roles = np.zeros(offsets[-1], dtype=int)
    for user in range(len(lengths)):
        roles[offsets[user] : split.train_end[user]] += 1
    np.add.at(roles, split.valid.places, 1)
    np.add.at(roles, split.test.places, 1)
    assert (roles == 1).all()


@pytest.mark.parametrize("offsets", [[], [1, 2], [0, 3, 2], [[0, 1]]])
def test_bad_offsets_are_refused(offsets: list[int]) -> None:
    with pytest.raises(ValueError, match="offsets"):
        leave_one_out(np.array(offsets, dtype=np.int64))


def test_targets_are_the_latest_interactions(ml100k: Dataset) -> None:
    split = ml100k.split
    times = np.asarray(ml100k.times)
    for row, user in enumerate(split.test.users.tolist()):
        user_times = times[ml100k.offsets[user] : ml100k.offsets[user + 1]]
        assert times[split.test.places[row]] == user_times.max()
        assert times[split.valid.places[row]] == np.sort(user_times)[-2]
    assert ml100k.split is split, "computed once"
