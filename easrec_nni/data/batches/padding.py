"""Pieces of the interaction log as training sequences, and padded rows made of them.

A piece is ``items[start:end]`` of one user. Shapes: U users, S pieces.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from easrec_nni.data.arrays import places_between
from easrec_nni.data.batches.modes import History
from easrec_nni.data.dataset import Dataset

__all__ = ["Samples", "ceil_div", "padded", "prefix_samples", "windows"]


class Samples(NamedTuple):
    """Pieces ``items[start:end]`` of the log that are trained on.

    Attributes
    ----------
    starts, ends
        ``[S]`` bounds of the pieces.
    targets
        ``[S]`` how many of the newest items of each piece are targets.
    """

    starts: NDArray[np.int64]
    ends: NDArray[np.int64]
    targets: NDArray[np.int64]


def ceil_div(dividend: NDArray[np.int64], divisor: int) -> NDArray[np.int64]:
    """Quotient of whole numbers, rounded up.

    Examples
    --------
    >>> ceil_div(np.array([-1, 0, 5, 6, 7]), 3).tolist()
    [0, 0, 2, 2, 3]
    """
    return -(-dividend // divisor)


def windows(dataset: Dataset, max_length: int, history: History = "all") -> Samples:
    """Cut users' training parts into the causal mode's pieces of ``max_length`` + 1 items.

    Pieces are cut from the newest end. They overlap by one item, so that every training interaction but the user's
    first is a target exactly once. Behind a cut a target has few interactions before it, while at inference there are
    ``max_length``: ``overlapping`` pieces begin half as far apart, and only what is new in each is a target, with at
    least half of ``max_length`` before it, if the user has so many. With ``newest`` a user's newest piece alone is
    taken. Users with fewer than two training interactions have nothing to predict.

    Examples
    --------
    A user of seven items, N = 3. The last two are the targets of validation and test, so that items 1 to 5 train.

    >>> from types import SimpleNamespace
    >>> from easrec_nni.data import leave_one_out
    >>> items, offsets = np.arange(1, 8), np.array([0, 7])
    >>> log = SimpleNamespace(offsets=offsets, split=leave_one_out(offsets))
    >>> def show(samples):
    ...     for start, end, targets in zip(*samples):
    ...         print(items[start:end].tolist(), "targets:", items[end - targets : end].tolist())
    >>> show(windows(log, 3))
    [2, 3, 4, 5] targets: [3, 4, 5]
    [1, 2] targets: [2]
    >>> show(windows(log, 3, "overlapping"))
    [2, 3, 4, 5] targets: [4, 5]
    [1, 2, 3] targets: [2, 3]
    >>> show(windows(log, 3, "newest"))
    [2, 3, 4, 5] targets: [3, 4, 5]
    >>> show(prefix_samples(log, 3))
    [1, 2] targets: [2]
    [1, 2, 3] targets: [3]
    [1, 2, 3, 4] targets: [4]
    [2, 3, 4, 5] targets: [5]
    """
    begins, ends = dataset.offsets[:-1], dataset.split.training_end()  # [U], [U]
    step = (max_length + 1) // 2 if history == "overlapping" else max_length
    predictable = np.maximum(ends - begins - 1, 0)  # [U]: every training interaction but the first
    # The newest piece has up to max_length targets, each older one step more of them.
    pieces = np.where(predictable > 0, 1 + np.maximum(ceil_div(predictable - max_length, step), 0), 0)  # [U]
    if history == "newest":
        pieces = np.minimum(pieces, 1)
    user, age = _numbered(pieces)  # [S], [S]: the user's newest piece has age 0
    piece_ends = ends[user] - age * step  # [S]
    starts = np.maximum(begins[user], piece_ends - max_length - 1)  # [S]
    is_oldest = starts == begins[user]  # [S]: all but its first item are targets, as no piece comes before
    return Samples(starts, piece_ends, np.where(is_oldest, piece_ends - starts - 1, step))


def prefix_samples(dataset: Dataset, max_length: int) -> Samples:
    """Training samples of the augmented mode: all prefixes with the item after each.

    The prefixes are those of each user's training part.
    For an example see :func:`windows`.
    """
    begins, ends = dataset.offsets[:-1], dataset.split.training_end()  # [U], [U]
    prefixes = np.maximum(ends - begins - 1, 0)  # [U]
    piece_ends = places_between(begins + 2, begins + 2 + prefixes)  # [S]: a first prefix is one item and its target
    starts = np.maximum(np.repeat(begins, prefixes), piece_ends - max_length - 1)  # [S]
    return Samples(starts, piece_ends, np.broadcast_to(np.int64(1), starts.shape))


def _numbered(counts: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """User of each piece, and the piece's number within the user, ``[S]`` each.

    `counts` has the number of pieces of each user, ``[U]``.
    """
    user = np.repeat(np.arange(len(counts)), counts)
    first = np.cumsum(counts) - counts  # [U]: place of each user's first piece
    return user, np.arange(len(user)) - first[user]


def padded(
    items: NDArray[np.int32] | NDArray[np.int64], starts: NDArray[np.int64], ends: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Pieces of the log as rows, padded with 0 on the left: ``[S, longest]``.

    Examples
    --------
    >>> padded(np.arange(1, 8), np.array([0, 4]), np.array([3, 5])).tolist()
    [[1, 2, 3], [0, 0, 5]]
    """
    longest = int((ends - starts).max())
    index = ends[:, None] - longest + np.arange(longest)  # [S, longest]
    return np.where(index >= starts[:, None], items[np.maximum(index, 0)], 0).astype(np.int64)
