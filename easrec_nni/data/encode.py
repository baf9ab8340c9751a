"""From a raw log to numbered, filtered interactions in user-then-time order."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from easrec_nni.common.errors import UserError
from easrec_nni.data.filters import below_rating, duplicate_rows, k_core
from easrec_nni.data.manifest import PrepareSettings
from easrec_nni.data.sources import RawLog


@dataclass(frozen=True)
class EncodedLog:
    """Interactions as a dataset folder has them; see `easrec_nni.data.dataset.Dataset` for the arrays.

    Attributes
    ----------
    items, offsets, times, user_ids, item_ids : ndarray
        As in `Dataset`.
    dropped : dict of str to int
        What was left out, by reason.
    """

    items: NDArray[np.int32]
    offsets: NDArray[np.int64]
    times: NDArray[np.generic]
    user_ids: NDArray[np.str_]
    item_ids: NDArray[np.str_]
    dropped: dict[str, int]


@dataclass(frozen=True)
class EncodedFeature:
    """Values of an item feature for all items, row 0 (padding) being empty.

    Attributes
    ----------
    offsets : ndarray of int64, shape [n_items + 2]
        The values of item number i are those from ``offsets[i]`` up to ``offsets[i + 1]`` (exclusive).
    values : ndarray of int32, shape [values of all items]
        Value numbers, 1 or more, ascending and distinct within an item.
    vocabulary : list of str
        Text of each value number; entry 0 is padding.
    unused_items : int
        Items that have values but no interactions.
    """

    offsets: NDArray[np.int64]
    values: NDArray[np.int32]
    vocabulary: list[str]
    unused_items: int


def encode_log(log: RawLog, settings: PrepareSettings) -> EncodedLog:
    """Filter a raw log, number its users and items and sort its interactions.

    Filters apply in this order: lowest rating, exact duplicates, k-core. Users are numbered from 0 and
    items from 1, in the order in which they first appear in what is left. The sort by user and time is
    stable: interactions of a user at the same time keep the order of the file.

    Parameters
    ----------
    log : RawLog
        The log as read.
    settings : PrepareSettings
        What to filter.

    Returns
    -------
    EncodedLog
        The interactions that are left, and what was dropped.

    Raises
    ------
    UserError
        If nothing is left.
    """
    table = log.interactions
    users, user_names = pd.factorize(table["user"])
    items, item_names = pd.factorize(table["item"])
    times = table["time"].to_numpy()
    dropped = dict(log.dropped)
    kept = np.arange(len(table))
    if settings.min_rating is not None and len(kept):
        low = below_rating(table["rating"].to_numpy(), settings.min_rating)
        kept = _without(kept, low, f"interactions with a rating below {settings.min_rating:g}", dropped)
    if settings.drop_duplicates:
        repeated = duplicate_rows(users[kept], items[kept], times[kept])
        kept = _without(kept, repeated, "rows that repeat user, item and time of another", dropped)
    kept = _core(kept, users, items, settings, dropped)
    if len(kept) == 0:
        reasons = ", ".join(f"{count} {reason}" for reason, count in dropped.items())
        raise UserError(f"no interaction is left ({reasons}): lower the thresholds")
    user_numbers, user_codes = pd.factorize(users[kept])
    item_numbers, item_codes = pd.factorize(items[kept])
    order = np.lexsort((times[kept], user_numbers))
    return EncodedLog(
        items=(item_numbers[order] + 1).astype(np.int32),
        offsets=np.concatenate([[0], np.cumsum(np.bincount(user_numbers))]).astype(np.int64),
        times=times[kept][order],
        user_ids=_text(user_names[user_codes]),
        item_ids=np.concatenate([np.array([""]), _text(item_names[item_codes])]),
        dropped=dropped,
    )


def encode_feature(table: pd.DataFrame, item_ids: NDArray[np.str_]) -> EncodedFeature:
    """Number an item feature's values and arrange them by item.

    Parameters
    ----------
    table : DataFrame
        Columns ``item`` and ``value``, as in `RawLog`; repeated values of an item count once.
    item_ids : ndarray of str, shape [n_items + 1]
        Ids by item number, entry 0 being padding.

    Returns
    -------
    EncodedFeature
        Only values that some item with interactions has are in the vocabulary, in alphabetical order.
    """
    numbers = pd.Index(item_ids[1:]).get_indexer(pd.Index(table["item"])) + 1
    known = numbers > 0
    codes, vocabulary = pd.factorize(table["value"][known], sort=True)
    width = len(vocabulary) + 1
    pairs = np.unique(numbers[known] * width + codes + 1)
    counts = np.bincount(pairs // width, minlength=len(item_ids)) if len(pairs) else np.zeros(len(item_ids), np.int64)
    return EncodedFeature(
        offsets=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        values=(pairs % width).astype(np.int32),
        vocabulary=["", *map(str, vocabulary)],
        unused_items=int(table["item"][~known].nunique()),
    )


def _core(
    kept: NDArray[np.int64],
    users: NDArray[np.int64],
    items: NDArray[np.int64],
    settings: PrepareSettings,
    dropped: dict[str, int],
) -> NDArray[np.int64]:
    min_user, min_item = settings.min_user_interactions, settings.min_item_interactions
    if min_user == 1 and min_item == 1:
        return kept
    rare = ~k_core(users[kept], items[kept], min_user, min_item)
    core = _without(kept, rare, f"interactions outside the {min_user}/{min_item} user/item core", dropped)
    for what, codes in (("users", users), ("items", items)):
        gone = int(np.count_nonzero(np.bincount(codes[kept])) - np.count_nonzero(np.bincount(codes[core])))
        if gone:
            dropped[f"{what} outside the {min_user}/{min_item} user/item core"] = gone
    return core


def _without(
    kept: NDArray[np.int64], bad: NDArray[np.bool_], reason: str, dropped: dict[str, int]
) -> NDArray[np.int64]:
    if bad.any():
        dropped[reason] = int(bad.sum())
    return kept[~bad]


def _text(names: pd.Index) -> NDArray[np.str_]:
    return np.asarray(names.to_numpy(dtype=object), dtype=np.str_)
