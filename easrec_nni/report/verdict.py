"""The report's first sentences: what the figures show, and no more."""

from __future__ import annotations

from collections.abc import Sequence

from easrec_nni.report.accuracy import best_of
from easrec_nni.report.comparing import compare
from easrec_nni.report.content import signed
from easrec_nni.report.sections import Section, SystemCells

__all__ = ["verdict"]

SUBJECT, BASELINE = "easrec", "sasrec"
KEY = "ndcg@10_full"


def _mean(system: SystemCells) -> float:
    measure = system.measure("test", KEY)
    return measure.mean if measure else 0.0


def _seeds(systems: Sequence[SystemCells]) -> str:
    numbers = sorted({len(system.cells) for system in systems})
    text = str(numbers[0]) if len(numbers) == 1 else f"{numbers[0]} to {numbers[-1]}"
    return f"{text} seed{'' if numbers == [1] else 's'} each"


def verdict(section: Section, systems: Sequence[SystemCells]) -> str:
    """Which system is best, whether that is more than chance, and what EASRec costs beside SASRec.

    Parameters
    ----------
    section
        The dataset's cells.
    systems
        The systems that are compared.
    """
    best = best_of(systems, "ndcg", "full")
    if best is None:
        return f"On {section.dataset.name} no system that could be compared is complete yet."
    others = [system for system in systems if system is not best]
    shown = f"{best.label} ({_mean(best):.4f}, {_seeds([best])})"
    if not others:
        return f"On {section.dataset.name}, {shown} is the only complete system: there is nothing to compare it with."
    runner_up = best_of(others, "ndcg", "full")
    assert runner_up is not None
    sentence = (
        f"On {section.dataset.name}, of {len(systems)} systems ({_seeds(systems)}), {best.label} has the highest mean "
        f"NDCG@10 of full ranking on the test set, {_mean(best):.4f}"
    )
    return f"{sentence}{_against(best, others, runner_up)}{_place(systems)}{_cost(section)}"


def _against(best: SystemCells, others: Sequence[SystemCells], runner_up: SystemCells) -> str:
    comparisons = compare(best, others, "ndcg", "full")
    second = f"{runner_up.label} ({_mean(runner_up):.4f})"
    if runner_up.name not in comparisons:
        return f"; whether it differs from the next, {second}, was not tested"
    alike = [other for other in others if other.name not in comparisons or not comparisons[other.name].is_better]
    if not alike:
        return f", significantly more than each other one; the next is {second}"
    if runner_up not in alike:  # a runner-up with few seeds' noise may differ where a worse system does not
        return f"; it differs significantly from the next, {second}, but not from all the others"
    more = len(alike) - 1
    further = f" and {more} more" if more else ""
    return f", which cannot be told apart from the next, {second}{further}: that it is first may be chance"


def _place(systems: Sequence[SystemCells]) -> str:
    """Whom EASRec beats and who beats it, where that is more than chance."""
    subject = next((system for system in systems if system.name == SUBJECT), None)
    if subject is None:
        return ""
    comparisons = compare(subject, [system for system in systems if system is not subject], "ndcg", "full").values()
    if not comparisons:
        return ""
    better = sum(each.is_better for each in comparisons)
    worse = sum(each.is_distinguishable and each.difference < 0 for each in comparisons)
    alike = len(comparisons) - better - worse
    return (
        f". Of the {len(comparisons)} others, {subject.label} is significantly better than {better} and worse than "
        f"{worse}; {alike} cannot be told apart from it"
    )


def _cost(section: Section) -> str:
    """What EASRec costs and gives beside SASRec, where both are known."""
    subject, baseline = section.system(SUBJECT), section.system(BASELINE)
    if subject is None or baseline is None:
        return "."
    mine, theirs = subject.measure("cost", "madds_per_user"), baseline.measure("cost", "madds_per_user")
    if mine is None or theirs is None or not theirs.mean:
        return "."
    ratio = mine.mean / theirs.mean
    if ratio > 1:
        cost = f"{ratio:.2f} times the multiply-adds of {baseline.label}, more and not fewer"
    else:
        cost = f"{ratio:.0%} of the multiply-adds of {baseline.label}"
    comparison = compare(subject, [baseline], "ndcg", "full").get(baseline.name)
    if comparison is None:
        accuracy = "whether its accuracy differs was not tested"
    elif comparison.is_distinguishable:
        word = "higher" if comparison.difference > 0 else "lower"
        accuracy = f"its NDCG@10 is significantly {word} by {abs(comparison.difference):.4f}"
    else:
        low, high = comparison.low, comparison.high
        accuracy = (
            f"its NDCG@10 ({_mean(subject):.4f} against {_mean(baseline):.4f}) cannot be told apart (95 % interval of "
            f"the difference {signed(low)} to {signed(high)}), which does not show that they are equal"
        )
    return f". {subject.label} takes {cost}; {accuracy}."
