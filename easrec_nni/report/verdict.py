"""Summary of the results, shown first in the report."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from easrec_nni.common.readable import readable_change
from easrec_nni.evaluation.judgement import CONFIDENCE, judge
from easrec_nni.report.accuracy import best_of
from easrec_nni.report.comparing import Comparison, compare, is_better, is_significant, is_tested
from easrec_nni.report.content import signed
from easrec_nni.report.sections import RANKINGS, Section, SystemCells
from easrec_nni.settings.trial import JudgeSettings

__all__ = ["verdict"]

SUBJECT, BASELINE = "easrec", "sasrec"


def _mean(system: SystemCells, ranking: str) -> float:
    measure = system.measure("test", f"ndcg@10_{ranking}")
    return measure.mean if measure else 0.0


def _seeds(systems: Sequence[SystemCells]) -> str:
    numbers = sorted({len(system.cells) for system in systems})
    text = str(numbers[0]) if len(numbers) == 1 else f"{numbers[0]} to {numbers[-1]}"
    return f"{text} seed{'' if numbers == [1] else 's'}"


def _against_all(system: SystemCells, systems: Sequence[SystemCells], ranking: str) -> dict[str, Comparison]:
    """Comparisons with all others, corrected for their number as in the tables."""
    return compare(system, tuple(other for other in systems if other is not system), "ndcg", ranking)


def verdict(section: Section, systems: Sequence[SystemCells]) -> str:
    """Best system, its significance, and EASRec's cost relative to SASRec.

    Parameters
    ----------
    section
        Cells of the dataset.
    systems
        Systems to compare.
    """
    ranking = section.ranking
    best = best_of(systems, "ndcg", ranking)
    if best is None:
        return f"On {section.dataset.title} no system that could be compared is complete yet."
    others = [system for system in systems if system is not best]
    if not others:
        shown = f"{best.label} ({_mean(best, ranking):.4f}, {_seeds([best])})"
        return f"On {section.dataset.title}, {shown} is the only complete system{_nothing_beside(section, best)}"
    sentence = (
        f"On {section.dataset.title}, of {len(systems)} systems ({_seeds(systems)} each), {best.label} has the highest "
        f"mean NDCG@10 by {RANKINGS[ranking]} on the test set, {_mean(best, ranking):.4f}"
    )
    return f"{sentence}{_first(best, systems, ranking)}.{_place(systems, ranking)}{_cost(systems, ranking)}"


def _nothing_beside(section: Section, best: SystemCells) -> str:
    """End of the sentence on a single system: its variants, or nothing to compare."""
    variants = len(section.all_systems) - 1
    if not variants:
        return ": there is nothing to compare it with."
    compared = "1 variant of" if variants == 1 else f"{variants} variants and settings of"
    are = "is" if variants == 1 else "are"
    return f" of the main tables; {compared} {best.label} {are} compared with it below."


def _first(best: SystemCells, systems: Sequence[SystemCells], ranking: str) -> str:
    """Clause on the significance of the first place."""
    comparisons = _against_all(best, systems, ranking)
    others = [system for system in systems if system is not best]
    runner_up = best_of(others, "ndcg", ranking)
    assert runner_up is not None
    second = f"{runner_up.label} ({_mean(runner_up, ranking):.4f})"
    if not is_tested(comparisons.get(runner_up.name)):
        return f"; whether it differs from the next, {second}, was not tested, for which two seeds of both are needed"
    alike = [other for other in others if not is_better(comparisons.get(other.name))]
    if not alike:
        return f", significantly more than each other one; the next is {second}"
    if runner_up not in alike:  # a system further down may have a wider spread, or was not tested
        return f"; it differs significantly from the next, {second}, but was not shown to differ from all the others"
    further = f" and {len(alike) - 1} more" if len(alike) > 1 else ""
    return f", which cannot be told apart from the next, {second}{further}: that it is first may be chance"


def _place(systems: Sequence[SystemCells], ranking: str) -> str:
    """Sentence on the numbers of systems significantly better and worse than EASRec."""
    subject = next((system for system in systems if system.name == SUBJECT), None)
    if subject is None:
        return ""
    comparisons = [
        comparison for comparison in _against_all(subject, systems, ranking).values() if is_tested(comparison)
    ]
    if not comparisons:
        return ""
    better = sum(map(is_better, comparisons))
    worse = sum(map(is_significant, comparisons)) - better
    return (
        f" Of {len(comparisons)} others that it was tested against, {subject.label} is significantly better than "
        f"{better} and worse than {worse}; {len(comparisons) - better - worse} cannot be told apart from it."
    )


def _cost(systems: Sequence[SystemCells], ranking: str) -> str:
    """Sentence on EASRec's cost and accuracy relative to SASRec, and its judgement; empty if either is missing."""
    by_name = {system.name: system for system in systems}
    subject, baseline = by_name.get(SUBJECT), by_name.get(BASELINE)
    if subject is None or baseline is None:
        return ""
    madds, baseline_madds = (system.measure("cost", "madds_per_user") for system in (subject, baseline))
    if madds is None or baseline_madds is None or not baseline_madds.mean:
        return ""
    ratio = madds.mean / baseline_madds.mean
    if ratio > 1:
        cost = f"{ratio:.2f} times the multiply-adds of {baseline.label}, more and not fewer"
    else:
        cost = f"{ratio:.0%} of the multiply-adds of {baseline.label}"
    difference = _accuracy_difference(subject, baseline, systems, ranking)
    return f" {subject.label} takes {cost}; {difference}.{_kept(subject, baseline, ranking)}"


def _kept(subject: SystemCells, baseline: SystemCells, ranking: str) -> str:
    """Sentence on whether the subject keeps the baseline's accuracy; empty without ranks of a common seed."""
    gains, others = subject.gains("ndcg", ranking), baseline.gains("ndcg", ranking)
    common = sorted(gains.keys() & others.keys())
    if not common:
        return ""
    means = [np.mean([part[seed] for seed in common], axis=0) for part in (gains, others)]
    margin = JudgeSettings().margin
    judged = judge(means[0], means[1], margin, figure=f"ndcg@10_{ranking}")
    words = {
        "kept": f"The accuracy of {baseline.label} is kept within {margin:.0%}",
        "lost": f"More than {margin:.0%} of the accuracy of {baseline.label} is lost",
        "cannot tell": f"Whether it keeps the accuracy of {baseline.label} within {margin:.0%}, {judged.users:,} users "
        "cannot tell",
    }[judged.verdict]
    if judged.low is None or judged.high is None:
        return f" {words}."
    interval = f"{readable_change(judged.low)} to {readable_change(judged.high)}"
    return f" {words} ({CONFIDENCE:.0%} interval of the relative difference over users {interval})."


def _accuracy_difference(
    subject: SystemCells, baseline: SystemCells, systems: Sequence[SystemCells], ranking: str
) -> str:
    comparison = _against_all(subject, systems, ranking).get(baseline.name)
    figures = f"{_mean(subject, ranking):.4f} against {_mean(baseline, ranking):.4f}"
    if comparison is None or not is_tested(comparison) or comparison.users_interval is None:
        return f"whether its NDCG@10, {figures}, differs was not tested"
    if is_significant(comparison):
        return f"its NDCG@10 is significantly {'higher' if comparison.difference > 0 else 'lower'}, {figures}"
    low, high = comparison.users_interval.low, comparison.users_interval.high
    return (
        f"its NDCG@10, {figures}, cannot be told apart (95 % interval of the difference over users {signed(low)} to "
        f"{signed(high)}), which does not show that they are equal"
    )
