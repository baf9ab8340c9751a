"""Filters of a log: duplicates, immediate repeats and the k-core."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from easrec_nni.data.arrays import counts

_ROWS_PER_CHUNK = 1 << 22

Numbers: TypeAlias = NDArray[np.int32] | NDArray[np.int64]


def duplicate_rows(users: Numbers, items: Numbers, times: NDArray[np.generic]) -> NDArray[np.bool_]:
    """Find rows that repeat user, item and time of an earlier row.

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
    """Find interactions with the item that the user had right before.

    Parameters
    ----------
    users, items : ndarray of int32 or int64, shape [rows]
        Codes, in user-then-time order.

    Returns
    -------
    ndarray of bool, shape [rows]
        True for rows to drop; the first of equal neighbours is False.
    """
    repeats = np.zeros(len(users), dtype=bool)
    repeats[1:] = (users[1:] == users[:-1]) & (items[1:] == items[:-1])
    return repeats


def k_core(users: Numbers, items: Numbers, min_user: int, min_item: int) -> NDArray[np.bool_]:
    """Find the k-core: drop rare users and rare items repeatedly until none is left.

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
    in_core = np.ones(len(users), dtype=bool)
    user_counts, item_counts = (counts(codes, int(codes.max(initial=0)) + 1) for codes in (users, items))
    size = -1
    while size != (size := int(np.count_nonzero(in_core))):
        for start in range(0, len(users), _ROWS_PER_CHUNK):
            part = slice(start, start + _ROWS_PER_CHUNK)
            rare = (user_counts[users[part]] < min_user) | (item_counts[items[part]] < min_item)
            removed = np.flatnonzero(in_core[part] & rare) + start
            in_core[removed] = False
            # Chunks that follow already see these counts: the core does not depend on the order of dropping.
            np.subtract.at(user_counts, users[removed], 1)
            np.subtract.at(item_counts, items[removed], 1)
    return in_core
