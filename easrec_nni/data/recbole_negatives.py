"""Negatives as RecBole draws them for sequential models in ``mode: pop100``."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["draw_recbole_negatives"]

_USERS_PER_CHUNK = 2048


def draw_recbole_negatives(
    items: NDArray[np.int32],
    offsets: NDArray[np.int64],
    targets: NDArray[np.int32],
    k: int,
    stream: tuple[int, ...],
    known: NDArray[np.bool_] | None = None,
) -> NDArray[np.int32]:
    """Draw k negatives for every target, with replacement; repeats count once.

    An item is drawn with a probability proportional to how often it is a user's next item: all interactions count,
    validation and test ones too, except each user's first. Where a split has points in time, `known` leaves out what
    lies behind them, which RecBole would count. The target alone is left out; the rest of the user's
    history is not. The source is RecBole 1.2.1: ``RepeatableSampler`` leaves out ``{target}`` and counts the items of
    the dataset that ``SequentialDataset.data_augmentation`` has made, one row for each interaction but the first;
    ``Trainer._neg_sample_batch_eval`` puts the scores of repeats into one place.

    Parameters
    ----------
    items : ndarray of int32, shape [interactions]
        Item numbers 1..n_items in user-then-time order.
    offsets : ndarray of int64, shape [n_users + 1]
        Where each user's interactions begin and end.
    targets : ndarray of int32, shape [E]
        Item that each row leaves out.
    k : int
        Draws for each row.
    stream : tuple of int
        Seed. The bits of PCG64 are the same for all versions of NumPy, and nothing else is random here.
    known : ndarray of bool, shape [interactions], or None
        Which interactions may be counted; None: all.

    Returns
    -------
    ndarray of int32, shape [E, k]
        Distinct items of each row, ascending, with a 0 in place of each repeat; all 0 where no other item was next.
    """
    counted = np.ones(len(items), dtype=bool) if known is None else known.copy()
    counted[offsets[:-1][np.diff(offsets) > 0]] = False
    pool = np.sort(items[counted])
    bits = np.random.PCG64(stream)
    result = np.zeros((len(targets), k), dtype=np.int32)
    if len(pool) == 0:
        return result
    for start in range(0, len(targets), _USERS_PER_CHUNK):
        chunk = targets[start : start + _USERS_PER_CHUNK, None]  # [B, 1]
        # Equal items lie together in the pool: a draw that would fall on the target's or behind them skips these.
        begin = np.searchsorted(pool, chunk, side="left")  # [B, 1]
        count = np.searchsorted(pool, chunk, side="right") - begin  # [B, 1]
        others = len(pool) - count
        drawn = bits.random_raw((len(chunk), k)) % np.maximum(others, 1).astype(np.uint64)
        places = drawn.astype(np.int64)  # [B, k], in the pool without the target
        places += count * (places >= begin)
        rows = np.sort(np.where(others > 0, pool[np.minimum(places, len(pool) - 1)], 0), axis=1)
        rows[:, 1:][rows[:, 1:] == rows[:, :-1]] = 0
        result[start : start + len(chunk)] = rows
    return result
