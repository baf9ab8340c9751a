"""Composes a report's content from its sections: chapters in order, and tables as data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from easrec_nni.report.accuracy import accuracy_records, compared_systems
from easrec_nni.report.cells import cell_records
from easrec_nni.report.chapters_results import (
    ablations_chapter,
    accuracy_chapter,
    costs_chapter,
    differences_chapter,
    fixed_gates_chapter,
    gates_chapter,
    refitted_chapter,
    sweep_chapter,
)
from easrec_nni.report.chapters_runs import provenance_chapter, search_chapter, training_chapter
from easrec_nni.report.choices import budget_warning
from easrec_nni.report.content import Chapter, Record
from easrec_nni.report.costs import cost_records
from easrec_nni.report.differences import difference_records, noise_of, reference_of
from easrec_nni.report.sections import Section
from easrec_nni.report.verdict import verdict

__all__ = ["DATA_FILES", "SectionContent", "compose", "warnings_of"]

DATA_FILES = (
    "results",
    "table3",
    "refitted",
    "differences",
    "table4",
    "accuracy-cost",
    "table5",
    "gates",
    "ablations",
    "fig4",
    "trials",
)
"""Names of a report's CSV files, each with the records of all sections."""

MOST_NAMED = 6  # maximum number of unfinished cells listed by name


@dataclass(frozen=True)
class SectionContent:
    """Content of a report's section on one dataset.

    Attributes
    ----------
    key, title
        Anchor and heading.
    verdict
        Summary of the results in one or two sentences.
    warnings
        Warnings shown before the figures.
    chapters
        Chapters in order.
    data
        Records by name in :data:`DATA_FILES`.
    """

    key: str
    title: str
    verdict: str
    warnings: Sequence[str]
    chapters: Sequence[Chapter]
    data: dict[str, list[Record]]


def compose(section: Section, key: str = "", prefix: str = "") -> SectionContent:
    """Compose the content of one section.

    Parameters
    ----------
    section
        Cells of the dataset.
    key
        Prefix of the chapters' anchors, different for each section.
    prefix
        Prefix of the plots' file names.
    """
    systems = compared_systems(section)
    accuracy, costs = accuracy_records(section), cost_records(section)
    reference = reference_of(systems, section.ranking)
    differences = difference_records(reference, systems) if reference else []
    chapters: list[Chapter | None] = []
    data: dict[str, list[Record]] = {"results": cell_records(section), "table3": accuracy, "table4": costs}
    if systems:
        chapters.append(accuracy_chapter(section, accuracy, noise_of(systems, differences, section.ranking)))
    if reference:
        dataset: Record = {"dataset": section.dataset.title, "reference": reference.name}
        data["differences"] = [dataset | record for record in differences]
        chapters.append(differences_chapter(reference, differences))
    chapter, data["accuracy-cost"] = costs_chapter(section, accuracy, costs, prefix)
    chapters.append(chapter)
    for name, optional in (
        ("refitted", refitted_chapter(section)),
        ("table5", gates_chapter(section)),
        ("gates", fixed_gates_chapter(section)),
        ("ablations", ablations_chapter(section)),
        ("fig4", sweep_chapter(section, prefix)),
    ):
        if optional:
            chapters.append(optional[0])
            data[name] = optional[1]
    chapters += [
        search_chapter(section, systems, prefix),
        training_chapter(section, systems, prefix),
        provenance_chapter(section),
    ]
    anchored = [Chapter(f"{key}{chapter.key}", chapter.title, chapter.blocks) for chapter in chapters if chapter]
    about = f"{section.dataset.title}: {section.dataset.n_users:,} users, {section.dataset.n_items:,} items"
    return SectionContent(key, about, verdict(section, systems), warnings_of(section), anchored, data)


def different_settings(settings: Sequence[Mapping[str, Any]]) -> list[str]:
    """Dotted names of the settings that differ.

    Examples
    --------
    >>> different_settings([{"a": 1, "b": {"c": 2}}, {"a": 1, "b": {"c": 3, "d": 4}}])
    ['b.c', 'b.d']
    """
    flattened = [_flat(study_settings) for study_settings in settings]
    names = sorted({name for flat in flattened for name in flat})
    return [name for name in names if len({repr(flat.get(name)) for flat in flattened}) > 1]


def _flat(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in settings.items():
        flat |= _flat(value, f"{prefix}{name}.") if isinstance(value, Mapping) else {f"{prefix}{name}": value}
    return flat


def warnings_of(section: Section) -> list[str]:
    """Warnings shown before the figures: unfinished cells, single seeds, unequal budgets."""
    warnings = []
    unfinished = section.unfinished
    if unfinished:
        total = len(unfinished) + len(section.cells)
        named = ", ".join(unfinished[:MOST_NAMED])
        if len(unfinished) > MOST_NAMED:
            named += f" and {len(unfinished) - MOST_NAMED} more"
        warnings.append(
            f"{len(unfinished)} of {total} cells are not finished and not in any figure: {named}. The same “easrec "
            "reproduce” runs them; this report is preliminary until then."
        )
    few = [system.label for system in section.systems if len(system.cells) == 1 and system.first.group != "floor"]
    if few:
        warnings.append(f"Single seed, so the run-to-run variance is unknown: {', '.join(few)}.")
    if len({cell.result.negatives_version for cell in section.cells}) > 1:
        warnings.append(
            "Validation figures of pop100 and uni100 are not comparable between all cells: those of earlier versions "
            "ranked against negatives without the test target. Test figures are comparable."
        )
    different = different_settings([study.document.settings for study in section.studies])
    if different:
        warnings.append(
            f"The studies in this section differ in {', '.join(different)}: differences between systems of different "
            "studies may come from that alone."
        )
    budget = budget_warning(section.systems)
    if budget:
        warnings.append(budget)
    return warnings
