"""Comparison of a report's systems by :mod:`easrec_nni.report.significance`, over seeds and users."""

from __future__ import annotations

from functools import lru_cache

from easrec_nni.report.sections import SystemCells
from easrec_nni.report.significance import Comparison, Interval, compare_systems
from easrec_nni.report.significance.users import RESAMPLES

__all__ = ["METHOD", "Comparison", "Interval", "compare", "is_better", "is_tested", "is_told_apart"]

LEVEL = 0.05
METHOD = (
    "How it was tested: two questions, and both must be answered with yes. Over users: would the difference be there "
    f"for other users of the same kind? They are drawn anew {RESAMPLES:,} times (paired bootstrap), which gives the "
    "interval over users. Over seeds: would it be there if both were trained again? A paired two-sided t-test over the "
    "seeds that both have gives the interval over seeds, the effect size (mean difference in standard deviations of "
    "the seeds’ differences) and p, which is corrected for the number of systems (Holm). Two systems count as "
    "different where p < 0.05 and the interval over users leaves 0 out. With one seed there is no test over seeds, and "
    "no such claim."
)
"""How systems are compared, for readers."""


@lru_cache(maxsize=256)
def compare(system: SystemCells, others: tuple[SystemCells, ...], metric: str, protocol: str) -> dict[str, Comparison]:
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
    gains = {other.name: other.gains(metric, protocol) for other in others}
    mine = system.gains(metric, protocol)
    comparable = {name: each for name, each in gains.items() if each.keys() & mine.keys()}
    rows = compare_systems(system.name, {system.name: mine, **comparable}) if comparable else []
    return {row.other: row for row in rows}


def is_tested(comparison: Comparison | None) -> bool:
    """Whether there was a test over seeds and over users."""
    return comparison is not None and comparison.p_holm is not None and comparison.users_interval is not None


def is_told_apart(comparison: Comparison | None) -> bool:
    """Whether two systems differ by more than chance, over seeds and over users."""
    if comparison is None or comparison.p_holm is None or comparison.users_interval is None:
        return False
    return comparison.p_holm < LEVEL and comparison.users_interval.excludes_zero


def is_better(comparison: Comparison | None) -> bool:
    """Whether the first system is better by more than chance."""
    return comparison is not None and is_told_apart(comparison) and comparison.difference > 0
