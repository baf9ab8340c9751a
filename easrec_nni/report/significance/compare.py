"""Comparison of one system with all others, over seeds and over users."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from easrec_nni.evaluation.bootstrap import RESAMPLES, Interval, UserBootstrap, paired_bootstraps
from easrec_nni.report.significance.multiple import holm
from easrec_nni.report.significance.seeds import PairedTest, paired_test

__all__ = ["Comparison", "compare_systems"]

LEVEL = 0.05

Pair = tuple[NDArray[np.float64], NDArray[np.float64]]


@dataclass(frozen=True)
class Comparison:
    """Comparison of two systems in one metric.

    Attributes
    ----------
    system, other
        Names of the systems.
    seeds, users
        Numbers of common seeds and users.
    mean, other_mean
        Means of the metric over these seeds and users.
    difference
        ``mean - other_mean``.
    seeds_interval
        Confidence interval of the difference, by Student's t over seeds; None where seeds cannot be tested
        (:func:`~easrec_nni.report.significance.seeds.paired_test`).
    p_value
        p-value of the two-sided paired t-test over seeds; None where seeds cannot be tested.
    p_holm
        p-value corrected for all comparisons that were tested; None without a test.
    effect_size
        Cohen's d_z over seeds; None where seeds cannot be tested.
    users_interval
        Confidence interval of the difference, by the paired bootstrap over users; None for a single user.
    users_p_value
        p-value of the paired bootstrap over users; None for a single user.
    relative_percent, relative_interval
        Difference in percent of the other's mean, with its bootstrap interval over users; None if the other's mean is,
        or may be, 0.
    star
        Whether a table marks the system, see :func:`compare_systems`.
    """

    system: str
    other: str
    seeds: int
    users: int
    mean: float
    other_mean: float
    difference: float
    seeds_interval: Interval | None
    p_value: float | None
    p_holm: float | None
    effect_size: float | None
    users_interval: Interval | None
    users_p_value: float | None
    relative_percent: float | None
    relative_interval: Interval | None
    star: bool


def compare_systems(
    system: str,
    gains: Mapping[str, Mapping[int, NDArray[np.float64]]],
    *,
    resamples: int = RESAMPLES,
    confidence: float = 0.95,
    seed: int = 0,
) -> list[Comparison]:
    """Compare one system with all others, over seeds and over users.

    The paper marks a figure where its best system is better than the best baseline by a two-sided t-test with p < 0.05
    (captions of Tables III to V). Here a star needs all of this:

    * the system is better than every other one; the star then stands at its comparison with the best of these;
    * the paired two-sided t-test over seeds has p < 0.05 after Holm's correction for all comparisons, because the best
      of many systems looks better than it is;
    * the interval of the paired bootstrap over users excludes zero.

    Both sources of variance matter. A test over seeds only shows a difference on these users: with enough seeds any
    difference passes, even if it depends on a few users. A test over users only shows a difference between these
    networks: another training may reverse it.

    Parameters
    ----------
    system
        Name of the system to compare.
    gains
        Gains ``[users]`` by system and seed: each user's contribution to the metric's mean
        (:func:`~easrec_nni.evaluation.metrics.user_gains`), users in the same order everywhere.
    resamples, confidence, seed
        See :func:`~easrec_nni.evaluation.bootstrap.paired_bootstraps`.

    Returns
    -------
    list of Comparison
        One comparison per other system, in the order given, each on the seeds that both have.

    Raises
    ------
    ValueError
        The system has no gains, has no seed in common with another, or users differ.

    Examples
    --------
    >>> users = np.random.default_rng(0).random((2, 5, 200))
    >>> gains = {"ours": dict(enumerate(users[0] + 0.2)), "base": dict(enumerate(users[1]))}
    >>> [row] = compare_systems("ours", gains)
    >>> row.other, row.star, round(row.difference, 2)
    ('base', True, 0.24)
    """
    if system not in gains:
        raise ValueError(f"there are no gains of {system!r}, only of {', '.join(gains)}")
    pairs = {name: _paired(system, name, gains) for name in gains if name != system}
    tests = [_over_seeds(pair, confidence) for pair in pairs.values()]
    bootstraps = paired_bootstraps(list(pairs.values()), resamples=resamples, confidence=confidence, seed=seed)
    corrected = holm([test.p_value for test in tests])
    # With the same seeds everywhere this is the other system with the highest mean.
    smallest = min((test.difference for test in tests), default=0.0)
    rows = []
    for (name, pair), test, p_holm, users in zip(pairs.items(), tests, corrected, bootstraps, strict=True):
        star = test.difference == smallest and _is_better(test, p_holm, users)
        rows.append(_row(system, name, pair, test, p_holm, users, star))
    return rows


def _paired(system: str, other: str, gains: Mapping[str, Mapping[int, NDArray[np.float64]]]) -> Pair:
    """Gains of both systems on their common seeds, ascending: two arrays ``[seeds, users]``."""
    common = sorted(gains[system].keys() & gains[other].keys())
    if not common:
        raise ValueError(f"{system!r} and {other!r} have no seed in common")
    lengths = {len(gains[name][seed]) for name in (system, other) for seed in common}
    if len(lengths) > 1:
        raise ValueError(f"{system!r} and {other!r} were evaluated on different users: {sorted(lengths)} of them")
    return np.stack([gains[system][seed] for seed in common]), np.stack([gains[other][seed] for seed in common])


def _over_seeds(pair: Pair, confidence: float) -> PairedTest:
    one, other = pair
    return paired_test(one.mean(axis=1).tolist(), other.mean(axis=1).tolist(), confidence)


def _is_better(test: PairedTest, p_holm: float | None, users: UserBootstrap) -> bool:
    over_seeds = test.difference > 0 and p_holm is not None and p_holm < LEVEL
    return over_seeds and users.interval is not None and users.interval.excludes_zero


def _row(
    system: str, other: str, pair: Pair, test: PairedTest, p_holm: float | None, users: UserBootstrap, star: bool
) -> Comparison:
    return Comparison(
        system=system,
        other=other,
        seeds=test.n,
        users=users.users,
        mean=float(pair[0].mean()),
        other_mean=float(pair[1].mean()),
        difference=test.difference,
        seeds_interval=test.interval,
        p_value=test.p_value,
        p_holm=p_holm,
        effect_size=test.effect_size,
        users_interval=users.interval,
        users_p_value=users.p_value,
        relative_percent=users.relative_percent,
        relative_interval=users.relative_interval,
        star=star,
    )
