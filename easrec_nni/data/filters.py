"""Which interactions of a log stay: duplicates, k-core."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from easrec_nni.data.arrays import counts

_ROWS_PER_CHUNK = 1 << 22

Numbers: TypeAlias = NDArray[np.int32] | NDArray[np.int64]


def duplicate_rows(users: Numbers, items: Numbers, times: NDArray[np.generic]) -> NDArray[np.bool_]:
    """Rows that repeat user, item and time of an earlier row.

    Parameters
    ----------
    users, items, times : ndarray, shape [rows]
        Codes of users and items, and times in any unit.

    Returns
    -------
    ndarray of bool, shape [rows]
        True for rows to drop; the first of equal rows is False.
    """
    order = np.lexsort((times, users))
    same = (users[order][1:] == users[order][:-1]) & (times[order][1:] == times[order][:-1])
    # Only rows that share user and time with another can be repeated: as a rule few.
    tied = np.zeros(len(users), dtype=bool)
    tied[order[1:][same]] = tied[order[:-1][same]] = True
    rows = np.flatnonzero(tied)
    table = pd.DataFrame({"user": users[rows], "item": items[rows], "time": times[rows]})
    tied[rows] = table.duplicated().to_numpy()
    return tied


def immediate_repeats(users: Numbers, items: Numbers) -> NDArray[np.bool_]:
    """Interactions with the item that the user had right before.

    Parameters
    ----------
    users, items : ndarray of int32 or int64, shape [rows]
        Codes, in user-then-time order.

    Returns
    -------
    ndarray of bool, shape [rows]
        True for rows to drop; the first of equal neighbours is False.
    """
    again = np.zeros(len(users), dtype=bool)
    again[1:] = (users[1:] == users[:-1]) & (items[1:] == items[:-1])
    return again


def k_core(users: Numbers, items: Numbers, min_user: int, min_item: int) -> NDArray[np.bool_]:
    """Rows left after dropping rare users and rare items again and again until none is left.

    The result is the largest set of rows in which every user has `min_user` and every item `min_item`
    interactions or more; it does not depend on the order of dropping.

    Parameters
    ----------
    users, items : ndarray of int32 or int64, shape [rows]
        Codes, 0 or more.
    min_user, min_item : int
        Interactions that a user and an item need.

    Returns
    -------
    ndarray of bool, shape [rows]
        True for rows to keep.
    """
    kept = np.ones(len(users), dtype=bool)
    left_users, left_items = (counts(each, int(each.max(initial=0)) + 1) for each in (users, items))
    before = -1
    while before != (before := int(np.count_nonzero(kept))):
        for start in range(0, len(users), _ROWS_PER_CHUNK):
            part = slice(start, start + _ROWS_PER_CHUNK)
            rare = (left_users[users[part]] < min_user) | (left_items[items[part]] < min_item)
            gone = np.flatnonzero(kept[part] & rare) + start
            kept[gone] = False
            np.subtract.at(left_users, users[gone], 1)
            np.subtract.at(left_items, items[gone], 1)
    return kept
