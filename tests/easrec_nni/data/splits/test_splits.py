"""The last k, no split, names of splits, training interactions, and RecTools' splitters.

The last runs where EASREC_RECTOOLS names a Python with RecTools (``pip install rectools``), such as that of the peers'
measurements.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from easrec_nni.common.errors import UserError
from easrec_nni.data import Dataset, leave_one_out
from easrec_nni.data.negatives import draw_negatives, training_items
from easrec_nni.data.splits import SPLITS, Interactions, Targets, make_split
from easrec_nni.data.splits.checks import check_targets, check_trainable
from tests.easrec_nni.data.splits.logs import LONG_HISTORIES, ROWS, Loop, Row, accounted, interactions

PYTHON = os.environ.get("EASREC_RECTOOLS")


@given(ROWS, st.integers(1, 4))
def test_the_last_k_match_a_plain_loop(rows: list[Row], k: int) -> None:
    log = interactions(rows)
    split = make_split(f"last:{k}", log)
    items, parts, trained = log.items.tolist(), {"valid": Loop(), "test": Loop()}, []
    for user, (begin, end) in enumerate(zip(log.offsets[:-1].tolist(), log.offsets[1:].tolist(), strict=True)):
        if end - begin <= 2 * k:
            trained.append(end)
            continue
        trained.append(end - 2 * k)
        for part, first in (("valid", end - 2 * k), ("test", end - k)):
            for place in range(first, first + k):
                if items[place] in items[first:place]:
                    parts[part].repeats += 1
                else:
                    parts[part].targets.append((user, place, items[begin:first], items[first : first + k]))
    parts["valid"].compare(split.valid, log)
    parts["test"].compare(split.test, log)
    assert split.train_end.tolist() == trained and accounted(split, log) == len(rows)


@given(ROWS)
def test_the_last_one_is_leave_one_out(rows: list[Row]) -> None:
    log = interactions(rows)
    one, other = make_split("last:1", log), leave_one_out(log.offsets)
    for part in ("valid", "test"):
        for name in ("users", "places", "history_ends"):
            assert getattr(one.part(part), name).tolist() == getattr(other.part(part), name).tolist()
    assert one.train_end.tolist() == other.train_end.tolist() and one.valid_end.tolist() == other.valid_end.tolist()


@given(ROWS, st.sampled_from(["leave-one-out", "last:2", "time:60%,80%", "none"]))
def test_further_parts_train_when_they_are_asked_to(rows: list[Row], name: str) -> None:
    log = interactions(rows)
    try:
        split = make_split(name, log)
    except UserError:
        assume(False)
    whole, refit = split.trained_through("test"), split.trained_through("valid")
    assert training_items(log.items, log.offsets, whole).tolist() == log.items.tolist()
    assert len(whole.valid) == len(whole.test) == len(refit.valid) == 0 and whole.name == "none"
    assert refit.test.places.tolist() == split.test.places.tolist()
    for user, (begin, end) in enumerate(zip(log.offsets[:-1], refit.train_end, strict=True)):
        of_user = split.test.users == user
        if of_user.any():  # all that the test histories hold trains, and none of the test targets
            assert set(split.test.history_ends[of_user].tolist()) == {end} and split.test.places[of_user].min() >= end
        assert begin <= split.train_end[user] <= end <= log.offsets[user + 1]


@given(LONG_HISTORIES, st.integers(1, 3), st.integers(1, 9))
def test_no_negative_is_of_the_history_or_the_part(rows: list[Row], k: int, wanted: int) -> None:
    log = interactions(rows)
    split, n_items = make_split(f"last:{k}", log), int(log.items.max())
    assert len(split.test) and len(split.valid)
    for part, back in (("valid", k), ("test", 0)):
        for name in ("pop100", "uni100"):
            drawn = draw_negatives(log.items, log.offsets, split, n_items, name, part, k=wanted).items
            for row, user in zip(drawn.tolist(), split.part(part).users, strict=True):
                had = set(log.items[log.offsets[user] : log.offsets[user + 1] - back].tolist())
                sample = [item for item in row if item]
                assert not had & set(sample) and len(set(sample)) == len(sample) == min(wanted, n_items - len(had))


def test_everything_trains_without_a_split() -> None:
    log = interactions([(0, 1, 1), (0, 2, 2)])
    split = make_split("none", log)
    assert split.train_end.tolist() == [2] and not len(split.valid) and not len(split.test)
    check_trainable(log.offsets, split, 2)
    with pytest.raises(UserError, match="retrain --all-data"):
        check_targets(split)


@pytest.mark.parametrize(
    "name", ["", "tme:90%", "last", "last:", "last:0", "last:-1", "last:1.5", "last:²", "none:3", "leave-one-out:2"]
)
def test_other_names_are_refused(name: str) -> None:
    with pytest.raises(UserError, match="--split"):
        make_split(name, interactions([(0, time, 1) for time in range(9)]))


def test_a_split_without_enough_targets_is_refused() -> None:
    log = interactions([(user, time, time + 1) for user in (0, 1) for time in range(4)])
    check_trainable(log.offsets, make_split("last:1", log), 4)
    with pytest.raises(UserError, match=r"no user has two interactions to train on \(--split last:1\)"):
        short = interactions([(user, time, time + 1) for user in (0, 1) for time in range(3)])
        check_trainable(short.offsets, make_split("last:1", short), 3)
    with pytest.raises(UserError, match=r"0 users have validation targets.*--split last:2"):
        check_trainable(log.offsets, make_split("last:2", log), 4)


def test_every_split_has_a_line_in_the_registry() -> None:
    assert list(SPLITS) == ["leave-one-out", "time", "last", "none"]
    log = interactions([(user, time, 1 + time % 3) for user in range(3) for time in range(9)])
    for name in ("leave-one-out", "time:70%,90%", "last:2", "none"):
        assert make_split(name, log).name == name and make_split(f" {name}".strip(), log).resolved
    assert np.all(make_split("none", log).train_end == log.offsets[1:])


@pytest.mark.skipif(not PYTHON, reason="EASREC_RECTOOLS names no Python with RecTools")
def test_targets_and_training_are_those_of_rectools(ml100k: Dataset, tmp_path: Path) -> None:
    log = Interactions(np.asarray(ml100k.items), np.asarray(ml100k.offsets), np.asarray(ml100k.times))
    users = np.repeat(np.arange(ml100k.n_users), np.diff(log.offsets))
    np.savez(tmp_path / "log.npz", users=users, items=log.items, times=log.times)
    program = Path(__file__).with_name("rectools_splits.py")
    command = [str(PYTHON), str(program), str(tmp_path / "log.npz"), str(tmp_path / "answers.npz")]
    subprocess.run(command, check=True, capture_output=True, timeout=300)
    answers = np.load(tmp_path / "answers.npz")
    at_points, last = make_split("time:1998-03-01,1998-04-01", log), make_split("last:3", log)
    parts: dict[str, tuple[Targets, int]] = {
        "valid": (at_points.valid, int((at_points.train_end - log.offsets[:-1]).sum())),
        "test": (at_points.test, int((at_points.valid_end - log.offsets[:-1]).sum())),
        "last": (last.test, int((last.valid_end - log.offsets[:-1]).sum())),
    }
    for name, (targets, trained) in parts.items():
        theirs = set(zip(answers[f"{name}_users"].tolist(), answers[f"{name}_items"].tolist(), strict=True))
        assert set(zip(targets.users.tolist(), log.items[targets.places].tolist(), strict=True)) == theirs
        assert len(theirs) == len(targets) > 1000 and trained == answers[f"{name}_train"]


@given(ROWS, st.sampled_from(["leave-one-out", "time:50%", "last:2"]))
def test_users_with_a_target_of_either_part_are_counted_once(rows: list[Row], name: str) -> None:
    log = interactions(rows)
    try:
        split = make_split(name, log)
    except UserError:
        assume(False)
    users = {*split.valid.users.tolist(), *split.test.users.tolist()}
    assert split.target_users.tolist() == sorted(users)
    assert split.users_train_only == len(log.offsets) - 1 - len(users)
