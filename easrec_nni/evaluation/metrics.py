"""Recall, MRR and NDCG from target ranks, each named with its protocol.

``full`` ranks the target among all items, ``unseen`` among those outside the user's history. ``pop100`` and
``uni100`` rank it against 100 negatives, drawn once for each dataset by popularity in the training part or uniformly,
distinct and outside the history. ``pop100_recbole`` is what RecBole calls ``mode: pop100`` for sequential models, and
the paper's group ranks by: 100 draws by popularity in the whole log, where the target alone is left out and a repeat
counts once. It is harder than ``pop100``; published figures compare with no other protocol. Ties count against the
model: a network that scores all items alike ranks the target last.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import Tensor

__all__ = [
    "METRICS",
    "cut_offs",
    "figure_standard_error",
    "mean_by_user",
    "metrics_from_ranks",
    "standard_error",
    "user_gains",
]

METRICS = ("recall", "mrr", "ndcg")


def cut_offs(k: int | Sequence[int]) -> tuple[int, ...]:
    """Cut-offs as a tuple: without duplicates, in the given order.

    Raises
    ------
    ValueError
        The list is empty, or a cut-off is below 1.

    Examples
    --------
    >>> cut_offs(10), cut_offs([20, 5, 20])
    ((10,), (20, 5))
    """
    ks = (k,) if isinstance(k, int) else tuple(dict.fromkeys(k))
    if not ks or min(ks) < 1:
        raise ValueError(f"cut-offs must be whole numbers of at least 1, not {k!r}")
    return ks


def user_gains(ranks: NDArray[np.int64], metric: str, k: int) -> NDArray[np.float64]:
    """Gain of each target for a metric at k: zero for ranks above k.

    Otherwise Recall@k is 1, MRR@k ``1 / rank``, NDCG@k ``1 / log2(rank + 1)``: the ideal DCG of one relevant item is 1.

    Parameters
    ----------
    ranks
        Ranks of targets, 1 = best, of any shape.
    metric
        One of :data:`METRICS`.
    k
        Cut-off.

    Returns
    -------
    ndarray
        Gains between 0 and 1, of the ranks' shape.

    Raises
    ------
    ValueError
        The metric is unknown, or a rank is below 1.

    Examples
    --------
    >>> user_gains(np.array([1, 3, 11]), "ndcg", 10).tolist()
    [1.0, 0.5, 0.0]
    """
    if metric not in METRICS:
        raise ValueError(f"unknown metric {metric!r}; choose from {', '.join(METRICS)}")
    ranks = np.asarray(ranks, dtype=np.float64)
    if ranks.size and not ranks.min() >= 1:  # also true for NaN
        raise ValueError("ranks must be whole numbers of at least 1")
    gains = {"recall": np.ones_like(ranks), "mrr": 1 / ranks, "ndcg": 1 / np.log2(ranks + 1)}[metric]
    return np.where(ranks <= k, gains, 0.0)


def mean_by_user(gains: NDArray[np.float64], users: NDArray[np.int64] | None) -> NDArray[np.float64]:
    """Mean gain per user, over the user's targets: ``[targets]`` to ``[users]``, sorted by user.

    Parameters
    ----------
    gains
        Gains of the targets, ``[targets]``.
    users
        User of each target, ``[targets]``, in any order; None where every user has a single target.

    Examples
    --------
    >>> mean_by_user(np.array([1.0, 0.0, 0.5]), np.array([7, 7, 3])).tolist()
    [0.5, 0.5]
    """
    if users is None:
        return gains
    numbers, of_target = np.unique(users, return_inverse=True)
    return np.bincount(of_target, gains, minlength=len(numbers)) / np.bincount(of_target)


def metrics_from_ranks(
    ranks: NDArray[np.int64] | Tensor,
    k: int | Sequence[int],
    protocol: str,
    users: NDArray[np.int64] | None = None,
) -> dict[str, float]:
    """Recall, MRR and NDCG at one or several k: means over users of :func:`user_gains`.

    Where users have several targets, a user's value is the mean over these, each ranked separately. Recall@k is then
    the share of the user's targets in the top k, as usual for several relevant items. All users have equal weight.

    Parameters
    ----------
    ranks
        Ranks of the targets, ``[targets]``, 1 = best.
    k
        Cut-off or cut-offs.
    protocol
        Ranking protocol of the ranks; part of the names.
    users
        As in :func:`mean_by_user`.

    Raises
    ------
    ValueError
        The ranks are empty.

    Examples
    --------
    >>> metrics_from_ranks(np.array([1, 3, 11]), k=10, protocol="full")
    {'recall@10_full': 0.6666666666666666, 'mrr@10_full': 0.4444444444444444, 'ndcg@10_full': 0.5}
    """
    ranks = np.asarray(ranks)
    if len(ranks) == 0:
        raise ValueError("no ranks to evaluate: no user was evaluated")
    return {
        f"{metric}@{cut}_{protocol}": float(mean_by_user(user_gains(ranks, metric, cut), users).mean())
        for cut in cut_offs(k)
        for metric in METRICS
    }


def standard_error(gains: NDArray[np.float64]) -> float | None:
    """Standard error of a mean over users: sample standard deviation / sqrt(number of users).

    Parameters
    ----------
    gains
        Gains ``[users]``, or ``[seeds, users]``, which are averaged over seeds first.

    Returns
    -------
    float or None
        None for fewer than two users: a spread cannot be estimated.
    """
    per_user = np.atleast_2d(gains).mean(axis=0)
    return float(per_user.std(ddof=1) / np.sqrt(len(per_user))) if len(per_user) > 1 else None


def figure_standard_error(
    ranks: Mapping[str, NDArray[np.int64]], figure: str, users: NDArray[np.int64] | None = None
) -> float:
    """Standard error over users of a metric, by its full name; 0 for a single user.

    Parameters
    ----------
    ranks
        Ranks of the targets, by protocol.
    figure
        Full name of the metric, such as ``ndcg@10_full``.
    users
        As in :func:`mean_by_user`.

    Examples
    --------
    >>> round(figure_standard_error({"full": np.array([1, 1, 100, 100])}, "ndcg@10_full"), 4)
    0.2887
    """
    metric, _, rest = figure.partition("@")
    k, _, protocol = rest.partition("_")
    return standard_error(mean_by_user(user_gains(ranks[protocol], metric, int(k)), users)) or 0.0
