"""Random logs for tests of splits, and splits of their rows by a plain loop."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from hypothesis import strategies as st

from easrec_nni.data.splits import Interactions, Split, Targets

Row = tuple[int, int, int]  # user, time, item


def sorted_rows(rows: list[Row]) -> list[Row]:
    """Sort rows by user and time; equal times keep their order."""
    return sorted(rows, key=lambda row: row[:2])


def interactions(rows: list[Row]) -> Interactions:
    """Interactions as a dataset has them, with users and items numbered without gaps."""
    users, items = (sorted({row[column] for row in rows}) for column in (0, 2))
    ordered = sorted_rows([(users.index(user), time, items.index(item) + 1) for user, time, item in rows])
    counts = np.bincount([row[0] for row in ordered], minlength=len(users))
    return Interactions(
        np.array([row[2] for row in ordered], dtype=np.int32),
        np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        np.array([row[1] for row in ordered], dtype=np.int64),
    )


ROWS = st.lists(st.tuples(st.integers(0, 7), st.integers(0, 12), st.integers(1, 9)), min_size=1, max_size=60)
"""Logs with equal times, repeats, and users and items that come late."""

LONG_HISTORIES = st.lists(st.tuples(st.integers(0, 1), st.integers(0, 12), st.integers(1, 9)), min_size=14, max_size=40)
"""Logs of two users, one of whom has seven interactions or more."""


@dataclass
class Loop:
    """Part by a plain loop: (user, place, history, window) of targets, and others' counts."""

    targets: list[tuple[int, int, list[int], list[int]]] = field(default_factory=list)
    cold_users: set[int] = field(default_factory=set)
    cold_items: set[int] = field(default_factory=set)
    of_cold_users: int = 0
    of_cold_items: int = 0
    repeats: int = 0

    def compare(self, part: Targets, log: Interactions) -> None:
        items = log.items.tolist()
        assert part.users.tolist() == [user for user, *_ in self.targets]
        assert part.places.tolist() == [place for _, place, *_ in self.targets]
        for row, (user, _, history, window) in enumerate(self.targets):
            begin = log.offsets[user]
            assert items[begin : part.history_ends[row]] == history
            assert items[begin : part.excluded_ends[row]] == history + window
        assert (part.cold_users, part.cold_user_interactions) == (len(self.cold_users), self.of_cold_users)
        assert (part.cold_items, part.cold_item_interactions) == (len(self.cold_items), self.of_cold_items)
        assert part.repeats == self.repeats
        firsts = [row for row, target in enumerate(self.targets) if row == 0 or self.targets[row - 1][0] != target[0]]
        assert part.first_rows.tolist() == firsts and part.n_users == len(firsts) and len(part) == len(self.targets)


def accounted(split: Split, log: Interactions) -> int:
    """Count interactions that train, are targets, or are counted as no targets."""
    parts = (split.valid, split.test)
    counted = sum(len(p) + p.cold_user_interactions + p.cold_item_interactions + p.repeats for p in parts)
    return int((split.train_end - log.offsets[:-1]).sum()) + counted
