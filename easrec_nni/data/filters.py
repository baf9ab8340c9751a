"""Which rows of a raw log become interactions: ratings, duplicates, k-core."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray


def below_rating(ratings: NDArray[np.float64], threshold: float) -> NDArray[np.bool_]:
    """Rows whose rating is lower than the threshold.

    Parameters
    ----------
    ratings : ndarray of float64, shape [rows]
        The ratings, on any scale.
    threshold : float
        Lowest rating that counts as an interaction.

    Returns
    -------
    ndarray of bool, shape [rows]
        True for rows to drop.
    """
    return ratings < threshold


def duplicate_rows(users: NDArray[np.int64], items: NDArray[np.int64], times: NDArray[np.generic]) -> NDArray[np.bool_]:
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


def k_core(users: NDArray[np.int64], items: NDArray[np.int64], min_user: int, min_item: int) -> NDArray[np.bool_]:
    """Rows left after dropping rare users and rare items again and again until none is left.

    The result is the largest set of rows in which every user has `min_user` and every item `min_item`
    interactions or more; it does not depend on the order of dropping.

    Parameters
    ----------
    users, items : ndarray of int64, shape [rows]
        Codes, 0 or more.
    min_user, min_item : int
        Interactions that a user and an item need.

    Returns
    -------
    ndarray of bool, shape [rows]
        True for rows to keep.
    """
    rows, left_users, left_items = np.arange(len(users)), users, items
    while len(rows):
        enough = (np.bincount(left_items) >= min_item)[left_items] & (np.bincount(left_users) >= min_user)[left_users]
        if enough.all():
            break
        rows, left_users, left_items = rows[enough], left_users[enough], left_items[enough]
    kept = np.zeros(len(users), dtype=bool)
    kept[rows] = True
    return kept
