"""Ranks of targets among the scores of all items, or of sampled negatives.

Apart from :mod:`easrec_nni.evaluation.metrics`, which a report uses without torch.
"""

from __future__ import annotations

import torch
from torch import Tensor

from easrec_nni.common.errors import DivergedError

__all__ = ["checked_scores", "full_ranks", "sampled_ranks"]


def checked_scores(scores: Tensor) -> Tensor:
    """The scores, if none is NaN.

    Raises
    ------
    DivergedError
        A score is NaN.
    """
    if scores.numel() and scores.amax().isnan():  # a maximum with a NaN is NaN; isnan of all would be a copy
        raise DivergedError("there are NaN among the scores: the network has diverged; try a smaller learning rate")
    return scores


def full_ranks(scores: Tensor, targets: Tensor, history: Tensor | None = None, unknown: Tensor | None = None) -> Tensor:
    """Rank of each target among all items, 1 = best, last among equals.

    Parameters
    ----------
    scores
        ``[B, n_items + 1]``, column 0 = padding.
    targets
        ``[B]`` item numbers.
    history
        ``[B, T]`` items to leave out of the ranking (0 = none), never the target.
    unknown
        Items that are left out for all, as they first appear later; none of them is a target.

    Returns
    -------
    Tensor
        ``[B]`` int64.

    Raises
    ------
    ValueError
        A score is NaN.
    """
    wanted = checked_scores(scores).gather(1, targets[:, None])
    above = scores >= wanted
    above[:, 0] = False
    if unknown is not None:
        above[:, unknown] = False
    if history is not None:
        above.scatter_(1, history, False)
    return _count(above.scatter_(1, targets[:, None], True))


def sampled_ranks(scores: Tensor, targets: Tensor, negatives: Tensor) -> Tensor:
    """Rank of each target against negatives, 1 = best, last among equals.

    Parameters
    ----------
    scores
        ``[B, n_items + 1]``.
    targets
        ``[B]``.
    negatives
        ``[B, K]`` item numbers, 0 = none.
    """
    wanted = checked_scores(scores).gather(1, targets[:, None])
    above = (scores.gather(1, negatives) >= wanted) & (negatives != 0)
    return 1 + above.sum(dim=1)


def _count(true: Tensor) -> Tensor:
    """How many are true in each row: ``[B, n]`` to ``[B]`` int64.

    A sum along the rows first makes int64 of all, which over 164,532 items takes ten times as long as the comparison.
    """
    counts = [row.count_nonzero() for row in true]
    return torch.stack(counts) if counts else true.new_zeros(0, dtype=torch.int64)
