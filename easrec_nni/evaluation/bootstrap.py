"""Paired bootstrap over users: the difference between two systems on other users."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Interval", "UserBootstrap", "paired_bootstrap", "paired_bootstraps"]

RESAMPLES = 10_000
# Relative difference below which figures are equal up to rounding.
ROUNDING = 1e-12
# Maximum number of draws in a block, at 8 bytes each.
LARGEST_BLOCK = 1 << 21


@dataclass(frozen=True)
class Interval:
    """Interval from ``low`` to ``high``."""

    low: float
    high: float

    @property
    def excludes_zero(self) -> bool:
        """Whether both ends are on the same side of zero."""
        return self.low > 0 or self.high < 0


@dataclass(frozen=True)
class UserBootstrap:
    """Bootstrap result of two systems' gains, paired by user.

    Attributes
    ----------
    users
        Number of users.
    difference
        Mean over users of one system's gains minus the other's.
    interval
        Bootstrap confidence interval of the difference; None for a single user.
    p_value
        Two-sided p-value that the difference is 0; None for a single user.
    relative_percent
        Difference in percent of the other system's mean; None if that is 0.
    relative_interval
        Confidence interval of the percentage; None if the other system's mean is 0 in some draw.
    """

    users: int
    difference: float
    interval: Interval | None
    p_value: float | None
    relative_percent: float | None
    relative_interval: Interval | None


def paired_bootstrap(
    gains: NDArray[np.float64],
    others: NDArray[np.float64],
    *,
    resamples: int = RESAMPLES,
    confidence: float = 0.95,
    seed: int = 0,
) -> UserBootstrap:
    """:func:`paired_bootstraps` of a single pair of systems.

    Examples
    --------
    >>> result = paired_bootstrap(np.array([1.0, 0.5, 0.0, 0.5]), np.array([0.5, 0.5, 0.0, 0.0]))
    >>> result.difference, result.interval, result.relative_percent
    (0.25, Interval(low=0.0, high=0.5), 100.0)
    """
    return paired_bootstraps([(gains, others)], resamples=resamples, confidence=confidence, seed=seed)[0]


def paired_bootstraps(
    pairs: Sequence[tuple[NDArray[np.float64], NDArray[np.float64]]],
    *,
    resamples: int = RESAMPLES,
    confidence: float = 0.95,
    seed: int = 0,
) -> list[UserBootstrap]:
    """Compare pairs of systems by resampling users with replacement.

    Paired: a drawn user has its gains under both systems, so that the difficulty of users does not count as noise. All
    pairs have the same draws. The interval is the percentile interval, which suits means over hundreds of users, and
    the p-value is its inversion: twice the share of draws on the other side of zero (or at zero), with the original
    users as one more draw, so that it is never 0. Networks are fixed; the variance of training is tested over seeds
    (:func:`~easrec_nni.report.significance.seeds.paired_test`).

    Parameters
    ----------
    pairs
        Gains of both systems of each pair: ``[users]``, each user's contribution to the metric's mean
        (:func:`~easrec_nni.evaluation.metrics.user_gains`), or ``[seeds, users]``, which are averaged over seeds first.
        All have the same users in the same order.
    resamples
        Number of draws, each of as many users as there are.
    confidence
        Confidence level of the intervals, such as 0.95.
    seed
        Seed of the draws.

    Returns
    -------
    list of UserBootstrap
        Results in the order of the pairs.

    Raises
    ------
    ValueError
        There are no users, their numbers differ, a gain is not finite, or ``resamples`` is below 1.
    """
    gains = [(_per_user(one), _per_user(other)) for one, other in pairs]  # [users] each
    numbers = sorted({len(user_gains) for pair in gains for user_gains in pair})
    if len(numbers) > 1 or resamples < 1:
        raise ValueError(f"systems have gains of {numbers} users, which must be the same; resamples is {resamples}")
    if not gains:
        return []
    # Differences are resampled rather than gains, so that equal gains differ by exactly 0 in every draw.
    columns = [one - other for one, other in gains] + [other for _, other in gains]
    means = _drawn_means(np.stack(columns, axis=1), resamples, seed)  # [resamples, 2 pairs]
    return [
        _result(*pair, means[:, place], means[:, len(gains) + place], confidence) for place, pair in enumerate(gains)
    ]


def _result(
    one: NDArray[np.float64],
    other: NDArray[np.float64],
    drawn: NDArray[np.float64],
    drawn_other: NDArray[np.float64],
    confidence: float,
) -> UserBootstrap:
    """Result from gains ``[users]`` and drawn differences and means ``[resamples]``."""
    users, difference, base = len(one), float((one - other).mean()), float(other.mean())
    least = ROUNDING * max(np.abs(one).max(), np.abs(other).max())  # below this, a mean is 0 up to rounding
    relative = 100 * difference / base if base > least else None
    if users == 1:
        return UserBootstrap(users, difference, None, None, relative, None)
    beyond = min(np.count_nonzero(drawn <= 0), np.count_nonzero(drawn >= 0))
    p_value = min(1.0, 2 * (1 + int(beyond)) / (len(drawn) + 1))
    relative_interval = _percentiles(100 * drawn / drawn_other, confidence) if drawn_other.min() > least else None
    return UserBootstrap(users, difference, _percentiles(drawn, confidence), p_value, relative, relative_interval)


def _percentiles(drawn: NDArray[np.float64], confidence: float) -> Interval:
    low, high = np.quantile(drawn, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Interval(float(low), float(high))


def _drawn_means(values: NDArray[np.float64], resamples: int, seed: int) -> NDArray[np.float64]:
    """Column means over resampled users: ``[users, columns]`` to ``[resamples, columns]``."""
    users, random = len(values), np.random.default_rng(seed)
    means = np.empty((resamples, values.shape[1]))
    rows = max(1, LARGEST_BLOCK // users)
    for begin in range(0, resamples, rows):
        size = min(rows, resamples - begin)
        # Offset by row, so that one bincount counts the draws of each user in each row: mean = counts · values / users.
        drawn = random.integers(0, users, size=(size, users)) + users * np.arange(size)[:, None]
        counts = np.bincount(drawn.ravel(), minlength=size * users).reshape(size, users)  # [size, users]
        means[begin : begin + size] = counts.astype(np.float64) @ values / users
    return means


def _per_user(gains: NDArray[np.float64]) -> NDArray[np.float64]:
    """Gains averaged over seeds: ``[users]``."""
    by_seed = np.atleast_2d(np.asarray(gains, dtype=np.float64))  # [seeds, users]
    if by_seed.ndim != 2 or not by_seed.size or not np.isfinite(by_seed).all():
        raise ValueError("gains must be finite numbers, [users] or [seeds, users], of one user or more")
    return by_seed.mean(axis=0)
