"""Splits at a point in time, against plain loops and logs with another future."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from easrec_nni.common.errors import UserError
from easrec_nni.data import PrepareSettings, prepare
from easrec_nni.data.batches.evaluation import EvaluationBatches
from easrec_nni.data.batches.masked import MaskedBatches
from easrec_nni.data.batches.padding import prefix_samples, windows
from easrec_nni.data.batches.training import TrainingBatches
from easrec_nni.data.negatives import PROTOCOLS, STORED_PROTOCOLS, draw_negatives, training_items, used_negatives
from easrec_nni.data.splits import Interactions, Split, make_split
from easrec_nni.data.splits.point_in_time import readable_time
from tests.easrec_nni.data.splits.logs import ROWS, Loop, Row, accounted, interactions

POINTS = st.lists(st.integers(1, 12), min_size=2, max_size=2, unique=True).map(sorted)


def split_at(rows: list[Row], points: list[int]) -> tuple[Interactions, Split]:
    """Log and its split, if both points are within the log."""
    times = [row[1] for row in rows]
    assume(min(times) < points[0] and points[1] <= max(times))
    log = interactions(rows)
    return log, make_split(f"time:{points[0]},{points[1]}", log)


def loop(log: Interactions, begin: int, end: float) -> Loop:
    """Compute the part from one time up to another, row by row."""
    part, items, times = Loop(), log.items.tolist(), log.times.tolist()
    known_items = {item for item, time in zip(items, times, strict=True) if time < begin}
    for user, (first, last) in enumerate(zip(log.offsets[:-1], log.offsets[1:], strict=True)):
        history = [items[place] for place in range(first, last) if times[place] < begin]
        window = [items[place] for place in range(first, last) if begin <= times[place] < end]
        had: set[int] = set()
        for place in range(first, last):
            if not begin <= times[place] < end:
                continue
            part.cold_items |= {items[place]} - known_items
            if not history:
                part.cold_users.add(user)
                part.of_cold_users += 1
            elif items[place] not in known_items:
                part.of_cold_items += 1
            elif items[place] in had:
                part.repeats += 1
            else:
                had.add(items[place])
                part.targets.append((user, place, history, window))
    return part


@given(ROWS, POINTS)
def test_parts_match_a_plain_loop(rows: list[Row], points: list[int]) -> None:
    log, split = split_at(rows, points)
    loop(log, points[0], points[1]).compare(split.valid, log)
    loop(log, points[1], float("inf")).compare(split.test, log)
    assert accounted(split, log) == len(rows)
    for user, ends in enumerate(zip(split.train_end, split.valid_end, split.all_end, strict=True)):
        times = log.times[log.offsets[user] : log.offsets[user + 1]].tolist()
        counts = [sum(time < points[0] for time in times), sum(time < points[1] for time in times), len(times)]
        assert [end - log.offsets[user] for end in ends] == counts
    with_targets = {*split.valid.users.tolist(), *split.test.users.tolist()}
    assert split.users_train_only == len(log.offsets) - 1 - len(with_targets)


@given(ROWS, st.integers(1, 99), st.integers(1, 99))
def test_shares_are_of_interactions(rows: list[Row], one: int, other: int) -> None:
    log, shares = interactions(rows), sorted({one, other})
    times = sorted(row[1] for row in rows)
    try:
        split = make_split("time:" + ",".join(f"{share}%" for share in shares), log)
    except UserError:
        return
    start, test = map(int, split.resolved.removeprefix("time:").split(","))
    before = sum(time < test for time in times)
    # At most the share, and the next larger time would be more than that.
    assert before <= shares[-1] / 100 * len(times) + 1e-6 < sum(time <= test for time in times) + 1e-3
    after = len(times) - before
    if len(shares) == 1:  # as many for validation as for test, but for equal times
        assert sum(start < time < test for time in times) < after <= sum(start <= time < test for time in times)
    again = make_split(split.name, log, split.resolved)
    assert again.train_end.tolist() == split.train_end.tolist() and again.name == split.name


def as_dataset(log: Interactions, split: Split, n_items: int) -> Any:
    return SimpleNamespace(items=log.items, offsets=log.offsets, split=split, n_items=n_items)


def seen_by(log: Interactions, split: Split, part: str, n_items: int) -> list[Any]:
    """All inputs of training and of the evaluation of a part."""
    dataset = as_dataset(log, split, n_items)
    stored = {
        f"{name}_{part}": draw_negatives(log.items, log.offsets, split, n_items, name, part, k=3).items
        for name in STORED_PROTOCOLS
    }
    negatives = [
        used_negatives(stored, log.items, log.offsets, split, n_items, name, part, 3, 0).tolist() for name in PROTOCOLS
    ]
    targets = split.part(part)
    histories = [
        log.items[log.offsets[user] : end].tolist()
        for user, end in zip(targets.users, targets.history_ends, strict=True)
    ]
    batches: list[Any] = []
    if (split.train_end - log.offsets[:-1]).max() > 1:
        for made in (TrainingBatches(dataset, 4, 2, "causal", 0), MaskedBatches(dataset, 4, 2, 0)):
            batches += [[batch.ids.tolist(), batch.targets.tolist()] for batch in made]
        for samples in (windows(dataset, 3), prefix_samples(dataset, 3)):
            batches.append([log.items[start:end].tolist() for start, end, _ in zip(*samples, strict=True)])
    if len(targets):
        batches += [[batch.ids.tolist(), batch.targets.tolist()] for batch in EvaluationBatches(dataset, part, 4, 64)]
    counts = np.bincount(training_items(log.items, log.offsets, split), minlength=n_items + 1).tolist()
    return [counts, targets.users.tolist(), histories, negatives, batches]


@given(ROWS, POINTS, st.lists(st.tuples(st.integers(0, 7), st.integers(0, 20), st.integers(1, 9)), max_size=30))
def test_nothing_is_known_of_what_comes_later(rows: list[Row], points: list[int], future: list[Row]) -> None:
    # Two logs that are the same up to the test point, and have other users' and other items' interactions after it.
    times = [row[1] for row in rows]
    assume(min(times) < points[0] and any(time < points[1] for time in times))
    past = [row for row in rows if row[1] < points[1]]
    # All users and items are in both, so that they have the same numbers; who has no past then has a future.
    late = [(user, 99, item) for user, item in zip(range(8), [*range(1, 9)], strict=True)] + [(0, 99, 9)]
    views = []
    for later in (late, [(user, points[1] + time, item) for user, time, item in future] + late):
        log = interactions([*past, *later])
        split = make_split(f"time:{points[0]},{points[1]}", log)
        places = split.valid.places - log.offsets[split.valid.users]
        view = seen_by(log, split, "valid", 9)
        histories = {
            int(user): log.items[log.offsets[user] : end].tolist()
            for user, end in zip(split.test.users, split.test.history_ends, strict=True)
        }
        views.append((view, places.tolist(), split.test.unknown_items.tolist(), histories))
    assert views[0][:3] == views[1][:3]
    both = views[0][3].keys() & views[1][3].keys()
    assert all(views[0][3][user] == views[1][3][user] for user in both)


@given(ROWS, POINTS)
def test_negatives_are_items_that_could_be_recommended_then(rows: list[Row], points: list[int]) -> None:
    log, split = split_at(rows, points)
    n_items = int(log.items.max())
    for part, begin, end in (("valid", points[0], points[1]), ("test", points[1], 99)):
        known_items = {item for item, time in zip(log.items.tolist(), log.times.tolist(), strict=True) if time < begin}
        targets = split.part(part)
        assert set(range(1, n_items + 1)) - known_items == set(targets.unknown_items.tolist())
        for name in STORED_PROTOCOLS:
            drawn = draw_negatives(log.items, log.offsets, split, n_items, name, part, k=n_items).items
            for row, user in enumerate(targets.users):
                history = slice(log.offsets[user], log.offsets[user + 1])
                until = log.times[history] < end
                # k is the catalogue: all that may be drawn is drawn.
                assert {*drawn[row].tolist()} - {0} == known_items - {*log.items[history][until].tolist()}


DAY = 86_400


@pytest.mark.parametrize("factor", [1, 1_000, 1_000_000, 1_000_000_000])
@pytest.mark.parametrize("kind", [np.int64, np.float64])
def test_dates_are_read_in_the_unit_of_the_log(factor: int, kind: type) -> None:
    days = np.arange(20_000, 20_010)  # 2024-10-04 to 2024-10-13
    log = Interactions(np.ones(10, np.int32), np.array([0, 10]), (days * DAY * factor).astype(kind))
    for word in (
        "2024-10-10,2024-10-12",
        "2024-10-10T02:00+02:00,2024-10-11 23:59:59.5",
        "2024-10-10,2024-10-11T23:00-01:00",
    ):
        split = make_split(f"time:{word}", log)
        assert (split.train_end.tolist(), split.valid_end.tolist()) == ([6], [8])
        again = make_split(split.name, log, split.resolved)
        assert (again.train_end.tolist(), again.valid_end.tolist()) == ([6], [8])
    with pytest.raises(UserError, match="the log runs from 2024-10-04 00:00:00 UTC to 2024-10-13 00:00:00 UTC"):
        make_split("time:2025-01-01", log)


def test_numbers_that_are_no_dates_are_shown_as_they_are() -> None:
    assert readable_time(14) == "14" and readable_time(20240601) == "20240601"


@pytest.mark.parametrize(
    "argument", ["", "0%", "100%", "x", "nan%", "inf", "50%,", "1%,2%,3%", "90%,80%", "2024-13-01", "-5%", "1e999"]
)
def test_points_that_cannot_be_are_refused(argument: str) -> None:
    log = Interactions(np.ones(100, np.int32), np.array([0, 100]), np.arange(100))
    with pytest.raises(UserError, match="--split time"):
        make_split(f"time:{argument}", log)


def test_a_date_is_read_in_the_unit_that_the_user_gave(tmp_path: Path) -> None:
    """Times of the first days of 1970 are too small for their unit to be told by their size."""
    rows = [f"u{user},i{(user + day) % 5},{day * DAY * 1000}" for user in range(4) for day in range(8)]
    (tmp_path / "log.csv").write_text("user,item,time\n" + "\n".join(rows) + "\n")
    settings = PrepareSettings(time_unit="ms", split="time:1970-01-05,1970-01-07")
    split = prepare(tmp_path / "log.csv", tmp_path / "out", settings=settings).split
    assert np.diff(split.train_end).tolist() == [8, 8, 8] and split.train_end[0] == 4
    assert split.resolved == f"time:{4 * DAY * 1000},{6 * DAY * 1000}"
