"""Validation negatives that are independent of the test target."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from easrec_nni.data.arrays import places_between
from easrec_nni.data.splits import LeaveOneOut

__all__ = ["with_test_targets"]

_USERS_PER_CHUNK = 2048


def with_test_targets(
    stored: NDArray[np.int32],
    items: NDArray[np.int32],
    offsets: NDArray[np.int64],
    split: LeaveOneOut,
    weights: NDArray[np.float64],
    stream: tuple[int, ...],
) -> NDArray[np.int32]:
    r"""Insert test targets into validation negatives, as often as they would have been drawn.

    The stored rows are drawn, without replacement, from what the user never had, so that the test target is never among
    them: its absence leaks the future. Drawing from what the user had not had by the validation target is the
    same draw with one item more, t. Given the order :math:`o_1, o_2, \dots` of the other items, t comes right before
    :math:`o_j`, unless it came earlier, with probability

    .. math::  \frac{w_t}{w_t + R_j}, \qquad R_j = \sum_{i \ge j} w_{o_i},

    where the sum runs over all candidates that are left; the product over places is the Plackett-Luce probability of
    the whole order. Items of weight 0 come last, evenly. So the stored files, and the fingerprint that is taken over
    them, stay what they are.

    Parameters
    ----------
    stored : ndarray of int32, shape [E, k]
        As :func:`~easrec_nni.data.negatives.draw_negatives` gives for ``valid``; 0 ends rows with too few candidates.
    items, offsets, split
        Interactions and their split, as for ``draw_negatives``.
    weights : ndarray of float64, shape [n_items + 1]
        Weight of each item in the draw, a whole number; 0 for padding.
    stream : tuple of int
        Seed. The bits of PCG64 are the same for all versions of NumPy, and nothing else is random here.

    Returns
    -------
    ndarray of int32, shape [E, k]
        The rows, with the test target put in, and the last item pushed out, where it was drawn.
    """
    chances = (np.random.PCG64(stream).random_raw(len(stored)) >> np.uint64(11)) * 2.0**-53  # [E], uniform in [0, 1)
    weightless = (weights == 0).astype(np.float64)
    weightless[0] = 0
    result = np.array(stored)  # [E, k]
    for start in range(0, len(stored), _USERS_PER_CHUNK):
        rows = slice(start, start + _USERS_PER_CHUNK)
        users, targets = split.test.users[rows], items[split.test.places[rows]]  # [B], [B]
        begins, ends = offsets[users], split.valid.places[rows] + 1  # [B], [B]
        lengths = ends - begins  # [B]
        flat = np.repeat(np.arange(len(users)), lengths)  # [sum of lengths]: row of each interaction
        places = places_between(begins, ends)
        in_history = np.bincount(flat, items[places] == targets[flat], minlength=len(users)) > 0  # [B]
        # Each item that the user ever had, once: what the stored rows could not be drawn from.
        seen = np.concatenate([items[places], targets])
        keys = np.unique(np.concatenate([flat, np.arange(len(users))]) * len(weights) + seen)
        key_rows, seen = np.divmod(keys, len(weights))
        left = _remaining_weight(weights, stored[rows], key_rows, seen)  # [B, k]: R_j
        weightless_left = _remaining_weight(weightless, stored[rows], key_rows, seen)  # [B, k]
        weight = weights[targets][:, None]  # [B, 1]: w_t
        # A weightless target waits for all items that have weight, and is then one of the others.
        step = np.where(weight > 0, weight / np.maximum(left + weight, 1), (left == 0) / (weightless_left + 1))
        missed = np.cumprod(1 - step, axis=1)  # [B, k]: probability that t comes after place j
        place = np.where(in_history, stored.shape[1], (missed > chances[rows][:, None]).sum(axis=1))  # [B]
        changed = np.flatnonzero(place < stored.shape[1])
        at, columns = place[changed, None], np.arange(stored.shape[1])
        moved = stored[start + changed[:, None], columns - (columns > at)]
        result[start + changed] = np.where(columns == at, targets[changed, None], moved)
    return result


def _remaining_weight(
    weights: NDArray[np.float64], rows: NDArray[np.int32], key_rows: NDArray[np.int64], seen: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Total weight of the candidates left when each place of a row is drawn, ``[rows, k]``."""
    candidates = weights.sum() - np.bincount(key_rows, weights[seen], minlength=len(rows))
    drawn = weights[rows]
    return candidates[:, None] - np.cumsum(drawn, axis=1) + drawn
