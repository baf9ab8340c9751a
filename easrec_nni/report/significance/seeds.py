"""Statistics over seeds: summary of a system, and paired test of two systems."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from easrec_nni.evaluation.bootstrap import ROUNDING, Interval

__all__ = ["PairedTest", "Summary", "paired_test", "summarise"]


@dataclass(frozen=True)
class Summary:
    """Summary of a system's figure over seeds.

    Attributes
    ----------
    n
        Number of seeds.
    mean
        Mean over seeds.
    sd
        Sample standard deviation (n - 1); None for a single seed.
    interval
        Confidence interval of the mean, by Student's t; None for a single seed.
    """

    n: int
    mean: float
    sd: float | None
    interval: Interval | None


@dataclass(frozen=True)
class PairedTest:
    """Paired t-test of two systems' figures, seed by seed.

    Attributes
    ----------
    n
        Number of seeds.
    difference
        Mean difference.
    interval
        Confidence interval of the mean difference, by Student's t.
    p_value
        p-value of the two-sided paired t-test that the mean difference is 0.
    effect_size
        Cohen's d_z: mean difference in sample standard deviations of the differences.
    """

    n: int
    difference: float
    interval: Interval | None
    p_value: float | None
    effect_size: float | None


def summarise(values: Sequence[float], confidence: float = 0.95) -> Summary:
    """Mean, sample standard deviation and t-interval of a figure over seeds.

    A single seed has no spread: ``sd`` and ``interval`` are None. For equal values, as of a deterministic system,
    ``sd`` is 0 and the interval is the value.

    Parameters
    ----------
    values
        One figure per seed.
    confidence
        Confidence level of the interval, such as 0.95.

    Raises
    ------
    ValueError
        There is no value, or one is not finite.

    Examples
    --------
    >>> summary = summarise([1.0, 2.0, 3.0])
    >>> summary.mean, summary.sd, round(summary.interval.low, 3)
    (2.0, 1.0, -0.484)
    """
    figures = _finite(values)
    mean = float(figures.mean())
    if len(figures) == 1:
        return Summary(1, mean, None, None)
    sd = 0.0 if _constant(figures, figures) else float(figures.std(ddof=1))
    half = float(stats.t.ppf((1 + confidence) / 2, len(figures) - 1)) * sd / np.sqrt(len(figures))
    return Summary(len(figures), mean, sd, Interval(float(mean - half), float(mean + half)))


def paired_test(values: Sequence[float], others: Sequence[float], confidence: float = 0.95) -> PairedTest:
    """Paired two-sided t-test of two systems, seed by seed.

    Pairing removes the effect of a seed on both systems. Degenerate cases:

    * one seed: interval, p-value and effect size are None;
    * equal figures for each seed: p = 1, effect size 0, the interval is zero;
    * the same nonzero difference for each seed, as of two deterministic systems: its variance is unknown, so interval,
      p-value and effect size are None.

    Parameters
    ----------
    values, others
        Figures of the two systems, in the same order of seeds.
    confidence
        Confidence level of the interval, such as 0.95.

    Raises
    ------
    ValueError
        There are no values, their numbers differ, or one is not finite.

    Examples
    --------
    >>> result = paired_test([0.3, 0.5, 0.4], [0.2, 0.3, 0.1])
    >>> round(result.difference, 3), round(result.p_value, 4), round(result.effect_size, 3)
    (0.2, 0.0742, 2.0)
    """
    one, other = _finite(values), _finite(others)
    if len(one) != len(other):
        raise ValueError(f"seeds are compared in pairs, but there are {len(one)} and {len(other)}")
    differences = one - other
    n, mean = len(one), float(differences.mean())
    scale = np.concatenate([one, other])
    if _constant(np.append(differences, 0.0), scale) and n > 1:
        return PairedTest(n, mean, Interval(0.0, 0.0), 1.0, 0.0)
    sd = float(differences.std(ddof=1)) if n > 1 else 0.0
    if sd == 0 or _constant(differences, scale):
        return PairedTest(n, mean, None, None, None)
    test = stats.ttest_rel(one, other)
    limits = test.confidence_interval(confidence)
    return PairedTest(n, mean, Interval(float(limits.low), float(limits.high)), float(test.pvalue), mean / sd)


def _finite(values: Sequence[float]) -> NDArray[np.float64]:
    figures = np.asarray(values, dtype=np.float64)
    if figures.ndim != 1 or not len(figures) or not np.isfinite(figures).all():
        raise ValueError("figures over seeds must be finite numbers, one or more")
    return figures


def _constant(values: NDArray[np.float64], scale: NDArray[np.float64]) -> bool:
    """Whether values are equal up to rounding, relative to the numbers they were computed from."""
    return bool(np.ptp(values) <= ROUNDING * np.abs(scale).max())
