"""Comparisons of a report's systems over seeds and users, cached."""

from __future__ import annotations

from functools import lru_cache

from easrec_nni.evaluation.bootstrap import RESAMPLES
from easrec_nni.report.sections import SystemCells
from easrec_nni.report.significance import Comparison, Interval, compare_systems

__all__ = ["METHOD", "Comparison", "Interval", "compare", "is_better", "is_tested", "is_significant"]

LEVEL = 0.05
METHOD = (
    "How it was tested: by two questions. Over users: would the difference persist for other users of the same kind? "
    f"Users are resampled {RESAMPLES:,} times (paired bootstrap), which gives the interval over users. Over seeds: "
    "would it persist if both systems were trained again? A paired two-sided t-test over the seeds that both have "
    "gives the interval over seeds, the effect size (mean difference in standard deviations of the seeds’ differences) "
    "and p, corrected for the number of systems (Holm). Two systems count as different if p < 0.05 and the interval "
    "over users excludes 0. With one seed there is no test over seeds, and no such claim."
)
"""Explanation of the comparison for the report's readers."""


@lru_cache(maxsize=256)
def compare(system: SystemCells, others: tuple[SystemCells, ...], metric: str, protocol: str) -> dict[str, Comparison]:
    """Compare a system with each of the others on the test set.

    Parameters
    ----------
    system, others
        Cells of the systems, compared on their common seeds.
    metric, protocol
        Metric and ranking, such as ``ndcg`` and ``full``.

    Returns
    -------
    dict
        Comparisons by name of the other system; those without common seeds or ranks are left out.
    """
    gains = {other.name: other.gains(metric, protocol) for other in others}
    system_gains = system.gains(metric, protocol)
    comparable = {name: other_gains for name, other_gains in gains.items() if other_gains.keys() & system_gains.keys()}
    rows = compare_systems(system.name, {system.name: system_gains, **comparable}) if comparable else []
    return {row.other: row for row in rows}


def is_tested(comparison: Comparison | None) -> bool:
    """Whether there was a test both over seeds and over users."""
    return comparison is not None and comparison.p_holm is not None and comparison.users_interval is not None


def is_significant(comparison: Comparison | None) -> bool:
    """Whether two systems differ significantly, over seeds and over users."""
    if comparison is None or comparison.p_holm is None or comparison.users_interval is None:
        return False
    return comparison.p_holm < LEVEL and comparison.users_interval.excludes_zero


def is_better(comparison: Comparison | None) -> bool:
    """Whether the first system is significantly better."""
    return comparison is not None and is_significant(comparison) and comparison.difference > 0
