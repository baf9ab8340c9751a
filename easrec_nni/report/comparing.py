"""Compares one system with others, user by user, corrected for how many comparisons there are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from easrec_nni.report.sections import SystemCells

__all__ = ["METHOD", "Comparison", "compare"]

LEVEL = 0.05
METHOD = (
    "Paired two-sided t-test over the test users, each with the mean of the seeds that both systems have; p-values are "
    "corrected after Holm for the number of systems. Effect size: mean difference in standard deviations of the users' "
    "differences."
)
"""How systems are compared, for readers."""


@dataclass(frozen=True)
class Comparison:
    """One system minus another, in a metric.

    Attributes
    ----------
    difference, low, high
        Of the means, with its 95 % interval.
    p
        Corrected for the number of comparisons.
    effect
        Standardised difference.
    """

    difference: float
    low: float
    high: float
    p: float
    effect: float

    @property
    def is_distinguishable(self) -> bool:
        """Whether the difference is more than chance."""
        return self.p < LEVEL

    @property
    def is_better(self) -> bool:
        """Whether the first system is better by more than chance."""
        return self.is_distinguishable and self.difference > 0


def compare(system: SystemCells, others: Sequence[SystemCells], metric: str, protocol: str) -> dict[str, Comparison]:
    """Compare a system with each other one on the test set.

    Parameters
    ----------
    system, others
        Their cells; they are compared on the seeds that both have.
    metric, protocol
        ``ndcg`` and ``full``, for example.

    Returns
    -------
    dict
        By name of the other system; those without common seeds or ranks are left out.
    """
    mine, found = system.gains(metric, protocol), {}
    for other in others:
        theirs = other.gains(metric, protocol)
        common = sorted(mine.keys() & theirs.keys())
        if common and len(mine[common[0]]) > 1:
            found[other.name] = np.mean([mine[seed] - theirs[seed] for seed in common], axis=0)
    errors = {name: float(each.std(ddof=1) / np.sqrt(len(each))) for name, each in found.items()}
    raw = {name: float(stats.ttest_1samp(each, 0).pvalue) if errors[name] else 1.0 for name, each in found.items()}
    result, running = {}, 0.0
    for place, name in enumerate(sorted(raw, key=lambda each: raw[each])):
        running = max(running, min(1.0, raw[name] * (len(raw) - place)))
        each, error = found[name], errors[name]
        half = float(stats.t.ppf(1 - LEVEL / 2, len(each) - 1)) * error
        mean = float(each.mean())
        effect = mean / float(each.std(ddof=1)) if error else 0.0
        result[name] = Comparison(mean, mean - half, mean + half, running, effect)
    return result
