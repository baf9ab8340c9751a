"""Rank of each target among all items, or among sampled negatives.

Separate from :mod:`easrec_nni.evaluation.metrics`, which a report uses without importing torch.
"""

from __future__ import annotations

import torch
from torch import Tensor

from easrec_nni.common.errors import DivergedError

__all__ = ["checked_scores", "full_ranks", "sampled_ranks"]


def checked_scores(scores: Tensor) -> Tensor:
    """Return the scores unchanged; raise if any is NaN.

    Raises
    ------
    DivergedError
        A score is NaN.
    """
    if scores.numel() and scores.amax().isnan():  # amax propagates NaN; isnan of all scores would allocate a copy
        raise DivergedError("the scores contain NaN: the network has diverged; try a smaller learning rate")
    return scores


def full_ranks(scores: Tensor, targets: Tensor, history: Tensor | None = None, unknown: Tensor | None = None) -> Tensor:
    """Rank of each target among all items: 1 = best, ties rank the target last.

    Parameters
    ----------
    scores
        Scores ``[B, n_items + 1]``, column 0 = padding.
    targets
        Target items ``[B]``.
    history
        Items ``[B, T]`` to exclude from the ranking (0 = none), never the target.
    unknown
        Items excluded for all users, because they first appear later; never a target.

    Returns
    -------
    Tensor
        ``[B]`` int64.

    Raises
    ------
    ValueError
        A score is NaN.
    """
    target_scores = checked_scores(scores).gather(1, targets[:, None])  # [B, 1]
    above = scores >= target_scores  # [B, n_items + 1]
    above[:, 0] = False
    if unknown is not None:
        above[:, unknown] = False
    if history is not None:
        above.scatter_(1, history, False)
    return _count(above.scatter_(1, targets[:, None], True))


def sampled_ranks(scores: Tensor, targets: Tensor, negatives: Tensor) -> Tensor:
    """Rank of each target among sampled negatives: 1 = best, ties rank the target last.

    Parameters
    ----------
    scores
        Scores ``[B, n_items + 1]``.
    targets
        Target items ``[B]``.
    negatives
        Negative items ``[B, K]``, 0 = none.
    """
    target_scores = checked_scores(scores).gather(1, targets[:, None])  # [B, 1]
    above = (scores.gather(1, negatives) >= target_scores) & (negatives != 0)  # [B, K]
    return 1 + above.sum(dim=1)


def _count(true: Tensor) -> Tensor:
    """Count of true values in each row: ``[B, n]`` to ``[B]`` int64.

    A sum along the rows converts everything to int64 first: ten times the comparison's time over 164,532 items.
    """
    counts = [row.count_nonzero() for row in true]
    return torch.stack(counts) if counts else true.new_zeros(0, dtype=torch.int64)
