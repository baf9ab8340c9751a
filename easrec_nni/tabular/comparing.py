"""Regrets of strategies over seeds: means with intervals, and tests against a control."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from easrec_nni.report.significance import Interval, PairedTest, holm, paired_test

__all__ = ["Comparison", "bootstrap_interval", "compare_with_control"]

RESAMPLES = 10_000


def bootstrap_interval(values: Sequence[float], confidence: float = 0.95) -> Interval | None:
    """Percentile bootstrap interval of a mean over seeds; None for one seed.

    Regrets are 0 or more and often 0, so that Student's interval would reach below 0.

    Parameters
    ----------
    values
        One value per seed.
    confidence
        Confidence level of the interval.
    """
    if len(values) < 2:
        return None
    draws = np.random.default_rng(0).integers(len(values), size=(RESAMPLES, len(values)))
    tails = [(1 - confidence) / 2, (1 + confidence) / 2]
    low, high = np.quantile(np.asarray(values, dtype=np.float64)[draws].mean(axis=1), tails)
    return Interval(float(low), float(high))


@dataclass(frozen=True)
class Comparison:
    """Mean of a strategy's regrets, and its paired test against the control.

    Attributes
    ----------
    label
        Name of the strategy.
    seeds
        Number of its seeds.
    mean
        Mean regret.
    interval
        Bootstrap interval of the mean; None for one seed.
    test
        Paired t-test of the seeds that both have, strategy minus control; None for the control itself, and without
        common seeds.
    p_holm
        Its p-value, corrected for the number of strategies.
    """

    label: str
    seeds: int
    mean: float
    interval: Interval | None
    test: PairedTest | None
    p_holm: float | None

    @property
    def verdict(self) -> str:
        """Result of the test at the level of 5 %: better, worse or undecided; empty without a test."""
        if self.test is None:
            return ""
        if self.p_holm is None or self.p_holm >= 0.05:
            return "undecided"
        return "better" if self.test.difference < 0 else "worse"


def compare_with_control(regrets: Mapping[str, Mapping[int, float]], control: str) -> list[Comparison]:
    """Compare strategies with a control, seed by seed.

    Parameters
    ----------
    regrets
        Regret by strategy and seed.
    control
        Strategy to compare with; no tests if it is not among them.
    """
    tests: dict[str, PairedTest | None] = {}
    for label, values in regrets.items():
        others = regrets.get(control, {}) if label != control else {}
        common = sorted(values.keys() & others.keys())
        paired = [values[seed] for seed in common], [others[seed] for seed in common]
        tests[label] = paired_test(*paired) if common else None
    corrected = holm([None if test is None else test.p_value for test in tests.values()])
    return [
        Comparison(
            label=label,
            seeds=len(values),
            mean=float(np.mean(list(values.values()))),
            interval=bootstrap_interval(list(values.values())),
            test=tests[label],
            p_holm=p_holm,
        )
        for (label, values), p_holm in zip(regrets.items(), corrected, strict=True)
    ]
