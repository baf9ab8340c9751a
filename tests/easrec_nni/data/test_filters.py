"""Filters against plain loops."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from easrec_nni.data.filters import duplicate_rows, k_core

ROWS = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6), st.integers(0, 3)), max_size=60)


@given(ROWS, st.integers(1, 5), st.integers(1, 5))
def test_k_core_matches_dropping_one_at_a_time(rows: list[tuple[int, int, int]], k_user: int, k_item: int) -> None:
    left = list(range(len(rows)))
    while True:
        users = [rows[row][0] for row in left]
        items = [rows[row][1] for row in left]
        rare = [row for row in left if users.count(rows[row][0]) < k_user or items.count(rows[row][1]) < k_item]
        if not rare:
            break
        left.remove(rare[0])
    table = np.array(rows, dtype=np.int64).reshape(-1, 3)
    assert np.flatnonzero(k_core(table[:, 0], table[:, 1], k_user, k_item)).tolist() == left


@given(ROWS)
def test_duplicates_match_a_set(rows: list[tuple[int, int, int]]) -> None:
    seen: set[tuple[int, int, int]] = set()
    expected = []
    for row in rows:
        expected.append(row in seen)
        seen.add(row)
    table = np.array(rows, dtype=np.int64).reshape(-1, 3)
    assert duplicate_rows(table[:, 0], table[:, 1], table[:, 2]).tolist() == expected
