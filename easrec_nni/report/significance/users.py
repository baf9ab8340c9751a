"""Over users: what a difference between two systems would be on other users of the same kind."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from easrec_nni.report.significance.seeds import ROUNDING, Interval

__all__ = ["UserBootstrap", "paired_bootstrap", "paired_bootstraps"]

RESAMPLES = 10_000
# Numbers drawn at once, at 8 bytes each.
LARGEST_BLOCK = 1 << 21


@dataclass(frozen=True)
class UserBootstrap:
    """Two systems' gains, user by user.

    Attributes
    ----------
    users
        Their number.
    difference
        Mean over users of one system's gains less the other's.
    interval
        Of that difference, over users drawn anew; None for a single user.
    p_value
        Two-sided, that the difference is 0; None for a single user.
    relative_percent
        The difference in percent of the other system's mean; None where that is 0.
    relative_interval
        Of the percentage; None where the other system's mean is 0 for some of the drawn users.
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
    """Compare two systems over users: :func:`paired_bootstraps` of a single pair.

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
    """Compare pairs of systems over users that are drawn anew, with replacement.

    Paired: a drawn user brings its gains under both systems, so that users who are hard for all do not count as
    noise. All pairs see the same draws. The interval is that of percentiles, which suits means over hundreds of users,
    and the p-value is its inversion: twice the share of draws on the other side of zero (or at zero), where the users
    as they are count as one more draw, so that it is never 0. Networks are held fixed: what training them again would
    do, seeds tell (:func:`~easrec_nni.report.significance.seeds.paired_test`).

    Parameters
    ----------
    pairs
        Of each pair, for both systems: ``[users]``, what each user adds to the metric's mean
        (:func:`~easrec_nni.evaluation.metrics.user_gains`), or ``[seeds, users]``, whose mean over seeds is taken for
        each user first. The users are the same, in the same order, everywhere.
    resamples
        Draws of as many users as there are.
    confidence
        Of the intervals.
    seed
        Of the draws.

    Returns
    -------
    list of UserBootstrap
        In the order of the pairs.

    Raises
    ------
    ValueError
        There are no users, systems have different numbers of them, a gain is not finite, or nothing is to be drawn.
    """
    known = [(_per_user(one), _per_user(other)) for one, other in pairs]
    numbers = sorted({len(each) for pair in known for each in pair})
    if len(numbers) > 1 or resamples < 1:
        raise ValueError(f"systems have gains of {numbers} users, which must be the same; resamples is {resamples}")
    if not known:
        return []
    # Differences themselves are drawn, so that equal gains differ by exactly 0 in every draw.
    columns = [one - other for one, other in known] + [other for _, other in known]
    means = _drawn_means(np.stack(columns, axis=1), resamples, seed)
    return [
        _result(*known[place], means[:, place], means[:, len(known) + place], confidence) for place in range(len(known))
    ]


def _result(
    one: NDArray[np.float64],
    other: NDArray[np.float64],
    drawn: NDArray[np.float64],
    drawn_other: NDArray[np.float64],
    confidence: float,
) -> UserBootstrap:
    """Figures of a pair: gains ``[users]`` of both; over draws, the mean difference and the other's mean."""
    users, difference, base = len(one), float((one - other).mean()), float(other.mean())
    least = ROUNDING * max(np.abs(one).max(), np.abs(other).max())  # below this a mean is 0 but for rounding
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
    """Means of each column over users drawn with replacement: ``[users, columns]`` to ``[resamples, columns]``."""
    users, random = len(values), np.random.default_rng(seed)
    means = np.empty((resamples, values.shape[1]))
    rows = max(1, LARGEST_BLOCK // users)
    for begin in range(0, resamples, rows):
        size = min(rows, resamples - begin)
        chosen = random.integers(0, users, size=(size, users)) + users * np.arange(size)[:, None]
        times = np.bincount(chosen.ravel(), minlength=size * users).reshape(size, users)  # how often each was drawn
        means[begin : begin + size] = times.astype(np.float64) @ values / users
    return means


def _per_user(gains: NDArray[np.float64]) -> NDArray[np.float64]:
    """Means over seeds: ``[users]``."""
    known = np.atleast_2d(np.asarray(gains, dtype=np.float64))
    if known.ndim != 2 or not known.size or not np.isfinite(known).all():
        raise ValueError("gains must be finite numbers, [users] or [seeds, users], of one user or more")
    return known.mean(axis=0)
