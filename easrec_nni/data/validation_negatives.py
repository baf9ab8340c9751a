"""Validation negatives that know nothing of the test target."""

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
    r"""Let a user's test target into the validation negatives, as often as it would have been drawn.

    The stored rows are drawn, without replacement, from what the user never had, so that the test target is never among
    them: that it is missing tells of the future. Drawing from what the user had not had by the validation target is the
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
        The interactions and their split, as for ``draw_negatives``.
    weights : ndarray of float64, shape [n_items + 1]
        Weight of each item in the draw, a whole number; 0 for padding.
    stream : tuple of int
        Seed. The bits of PCG64 are the same for all versions of NumPy, and nothing else is random here.

    Returns
    -------
    ndarray of int32, shape [E, k]
        The rows, with the test target put in, and the last item pushed out, where it was drawn.
    """
    chances = (np.random.PCG64(stream).random_raw(len(stored)) >> np.uint64(11)) * 2.0**-53
    weightless = (weights == 0).astype(np.float64)
    weightless[0] = 0
    result = np.array(stored)
    for start in range(0, len(stored), _USERS_PER_CHUNK):
        rows = slice(start, start + _USERS_PER_CHUNK)
        users, targets = split.test.users[rows], items[split.test.places[rows]]
        begins, ends = offsets[users], split.valid.places[rows] + 1
        lengths = ends - begins
        flat = np.repeat(np.arange(len(users)), lengths)
        places = places_between(begins, ends)
        met = np.bincount(flat, items[places] == targets[flat], minlength=len(users)) > 0
        # Each item that the user ever had, once: what the stored rows could not be drawn from.
        had = np.concatenate([items[places], targets])
        keys = np.unique(np.concatenate([flat, np.arange(len(users))]) * len(weights) + had)
        own, had = np.divmod(keys, len(weights))
        left = _left(weights, stored[rows], own, had)
        of_weightless = _left(weightless, stored[rows], own, had)
        weight = weights[targets][:, None]
        # A weightless target waits for all items that have weight, and is then one of the others.
        step = np.where(weight > 0, weight / np.maximum(left + weight, 1), (left == 0) / (of_weightless + 1))
        missed = np.cumprod(1 - step, axis=1)
        place = np.where(met, stored.shape[1], (missed > chances[rows][:, None]).sum(axis=1))
        changed = np.flatnonzero(place < stored.shape[1])
        at, columns = place[changed, None], np.arange(stored.shape[1])
        moved = stored[start + changed[:, None], columns - (columns > at)]
        result[start + changed] = np.where(columns == at, targets[changed, None], moved)
    return result


def _left(
    weights: NDArray[np.float64], rows: NDArray[np.int32], own: NDArray[np.int64], had: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Weight of the candidates that are left when each place of a row is drawn, ``[rows, k]``."""
    candidates = weights.sum() - np.bincount(own, weights[had], minlength=len(rows))
    drawn = weights[rows]
    return candidates[:, None] - np.cumsum(drawn, axis=1) + drawn
