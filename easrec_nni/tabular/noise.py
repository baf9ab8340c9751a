"""Noise ceiling of a table: correlations between architectures that the seeds' noise allows."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from easrec_nni.tabular.documents import Correlation, NoiseCeiling

__all__ = ["correlation", "noise_ceiling", "seed_halves"]

MOST_SPLITS = 500


def seed_halves(seeds: int) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
    """Pairs of disjoint, equally large halves of the seeds; an odd number leaves one seed out of each pair.

    All pairs, or :data:`MOST_SPLITS` drawn from them with a fixed seed if there are more.

    Parameters
    ----------
    seeds
        Number of seeds.

    Examples
    --------
    >>> seed_halves(3)
    [((0,), (1,)), ((0,), (2,)), ((1,), (2,))]
    >>> len(seed_halves(4))
    3
    """
    if seeds > 10:
        rng = np.random.default_rng(0)
        orders = [rng.permutation(seeds).tolist() for _ in range(MOST_SPLITS)]
        half = seeds // 2
        return [(tuple(sorted(order[:half])), tuple(sorted(order[half : 2 * half]))) for order in orders]
    pairs = []
    for first in combinations(range(seeds), seeds // 2):
        others = [seed for seed in range(seeds) if seed not in first]
        pairs += [(first, second) for second in combinations(others, seeds // 2) if first < second]
    return pairs if seeds > 1 else []


def correlation(first: NDArray[np.float64], second: NDArray[np.float64]) -> Correlation:
    """Spearman's and Kendall's (tau-b) rank correlation of two figures over the architectures, ``[A]`` each."""
    if len(first) < 2 or np.ptp(first) == 0 or np.ptp(second) == 0:
        return Correlation(spearman=None, kendall=None)
    return Correlation(
        spearman=float(stats.spearmanr(first, second).statistic),
        kendall=float(stats.kendalltau(first, second).statistic),
    )


def noise_ceiling(valid: NDArray[np.float64], test: NDArray[np.float64]) -> NoiseCeiling:
    """Noise ceiling of one metric.

    Parameters
    ----------
    valid, test
        Metric of each architecture and seed, ``[A, S]``.
    """
    halves = seed_halves(valid.shape[1])
    crossed = [*halves, *((second, first) for first, second in halves)]

    def between(
        one: NDArray[np.float64], other: NDArray[np.float64], pairs: Iterable[tuple[tuple[int, ...], tuple[int, ...]]]
    ) -> Correlation | None:
        return _mean([correlation(one[:, first].mean(1), other[:, second].mean(1)) for first, second in pairs])

    return NoiseCeiling(
        valid_halves=between(valid, valid, halves),
        test_halves=between(test, test, halves),
        valid_test=correlation(valid.mean(1), test.mean(1)),
        valid_test_halves=between(valid, test, crossed),
    )


def _mean(correlations: list[Correlation]) -> Correlation | None:
    """Mean of correlations; None of none."""
    if not correlations:
        return None

    def mean(values: Iterable[float | None]) -> float | None:
        numbers = [value for value in values if value is not None]
        return float(np.mean(numbers)) if numbers else None

    return Correlation(
        spearman=mean(each.spearman for each in correlations), kendall=mean(each.kendall for each in correlations)
    )
