"""Ranks and what is made of them: Recall, MRR and NDCG, each named with its protocol.

``full`` ranks the target among all items, ``pop100`` and ``uni100`` against 100 negatives that were drawn once with
the dataset, ``unseen`` among the items that are not in the user's history. Ties count against the model: a network that
scores all items alike ranks the target last.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

__all__ = ["full_ranks", "metrics_from_ranks", "ndcg_standard_error", "sampled_ranks"]


def _checked(scores: Tensor) -> Tensor:
    if scores.isnan().any():
        raise ValueError("there are NaN among the scores: the network has diverged; try a smaller learning rate")
    return scores


def full_ranks(scores: Tensor, targets: Tensor, history: Tensor | None = None) -> Tensor:
    """Rank of each target among all items, 1 = best, last among equals.

    Parameters
    ----------
    scores
        ``[B, n_items + 1]``, column 0 = padding.
    targets
        ``[B]`` item numbers.
    history
        ``[B, T]`` items to leave out of the ranking (0 = none), never the target.

    Returns
    -------
    Tensor
        ``[B]`` int64.

    Raises
    ------
    ValueError
        A score is NaN.
    """
    wanted = _checked(scores).gather(1, targets[:, None])
    above = scores >= wanted
    above[:, 0] = False
    if history is not None:
        above = above.scatter(1, history, False)
    return above.scatter(1, targets[:, None], True).sum(dim=1)


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
    wanted = _checked(scores).gather(1, targets[:, None])
    above = (scores.gather(1, negatives) >= wanted) & (negatives != 0)
    return 1 + above.sum(dim=1)


def metrics_from_ranks(ranks: NDArray[np.int64] | Tensor, k: int, protocol: str) -> dict[str, float]:
    """Means over users: with one relevant item, Recall@k = [rank <= k], MRR@k = 1/rank, NDCG@k = 1/log2(rank + 1).

    Examples
    --------
    >>> metrics_from_ranks(np.array([1, 3, 11]), k=10, protocol="full")
    {'recall@10_full': 0.6666666666666666, 'mrr@10_full': 0.4444444444444444, 'ndcg@10_full': 0.5}
    """
    ranks = torch.as_tensor(ranks).double()
    if len(ranks) == 0:
        raise ValueError("there are no ranks: no user was evaluated")
    hit = (ranks <= k).double()
    values = {"recall": hit, "mrr": hit / ranks, "ndcg": hit / torch.log2(ranks + 1)}
    return {f"{name}@{k}_{protocol}": float(value.mean()) for name, value in values.items()}


def ndcg_standard_error(ranks: NDArray[np.int64], k: int) -> float:
    """Standard error of NDCG@k over users: their sample standard deviation divided by the root of their number.

    Examples
    --------
    >>> round(ndcg_standard_error(np.array([1, 1, 100, 100]), k=10), 4)
    0.2887
    """
    gains = np.where(ranks <= k, 1 / np.log2(ranks + 1), 0.0)
    return float(gains.std(ddof=1) / np.sqrt(len(gains))) if len(gains) > 1 else 0.0
