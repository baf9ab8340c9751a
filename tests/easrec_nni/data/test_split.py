"""The leave-one-out split and the partition of validation users."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from easrec_nni.common.errors import UserError
from easrec_nni.data import Dataset, leave_one_out, split_validation_users
from easrec_nni.data.batches.padding import prefix_samples, windows
from easrec_nni.data.splits.checks import check_trainable


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
        own = times[ml100k.offsets[user] : ml100k.offsets[user + 1]]
        assert times[split.test.places[row]] == own.max()
        assert times[split.valid.places[row]] == np.sort(own)[-2]
    assert ml100k.split is split, "computed once"


@given(st.integers(0, 200), st.floats(0, 1), st.integers(0, 5))
def test_validation_users_are_partitioned(n_eval: int, share: float, seed: int) -> None:
    arch, select = split_validation_users(n_eval, share, seed)
    assert sorted([*arch.tolist(), *select.tolist()]) == list(range(n_eval))
    assert arch.tolist() == sorted(arch) and select.tolist() == sorted(select)
    assert abs(len(arch) - n_eval * share) <= 1
    if 0 < share < 1 and n_eval >= 2:
        assert len(arch) and len(select)


def test_partition_depends_on_the_seed_only() -> None:
    first, again, other = (split_validation_users(100, 0.5, seed)[0].tolist() for seed in (1, 1, 2))
    assert first == again != other


@pytest.mark.parametrize("share", [-0.1, 1.1, float("nan")])
def test_bad_share_is_refused(share: float) -> None:
    with pytest.raises(ValueError, match="share"):
        split_validation_users(10, share, 0)


@given(st.lists(st.integers(0, 5), min_size=1, max_size=8), st.integers(1, 4), st.floats(0.01, 0.99))
def test_what_is_not_refused_can_be_trained_chosen_and_evaluated(
    lengths: list[int], max_length: int, share: float
) -> None:
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    split = leave_one_out(offsets)
    log: Any = SimpleNamespace(offsets=offsets, split=split)
    samples = [windows(log, max_length, "all"), windows(log, max_length, "newest"), prefix_samples(log, max_length)]
    parts = [len(rows) for rows in split_validation_users(len(split.test.users), share, 0)]
    possible = min(parts) > 0 and min(int(each.targets.sum()) for each in samples) > 0
    try:
        check_trainable(offsets, split, n_items=2)
        refused = False
    except UserError:
        refused = True
    assert refused == (not possible)
