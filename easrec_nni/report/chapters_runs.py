"""Chapters on searches, trainings, settings and versions."""

from __future__ import annotations

import json
from collections.abc import Sequence

from easrec_nni.report.choices import budget_table, choices_table, typical_cell
from easrec_nni.report.content import Block, Chapter, Column, Entry, Listing, Paragraph, Row, Table
from easrec_nni.report.histories import HISTORIES, curves, is_one_shot, option_curves, searched_architectures
from easrec_nni.report.plots.network import network_plot
from easrec_nni.report.plots.options import options_plot
from easrec_nni.report.plots.searching import cost_plot, entropy_plot, probabilities_plot
from easrec_nni.report.plots.training import training_plot
from easrec_nni.report.reading import read_history
from easrec_nni.report.sections import RANKINGS, Section, SystemCells
from easrec_nni.study.systems.ablations import NO_WARMUP

__all__ = ["provenance_chapter", "search_chapter", "training_chapter"]

SUBJECT = "easrec"


def search_chapter(section: Section, systems: Sequence[SystemCells], prefix: str) -> Chapter | None:
    """Chapter of the architectures that the searches chose, and their certainty."""
    choices = choices_table(section)
    if choices is None:
        return None
    explained = (
        "A search trains all candidate networks at once as one large network, and with it two sets of probabilities: "
        "α, how much of the width to cut away, and β, how many layers to keep. At its end the most probable network is "
        "taken out and trained further. Random search, evolution and TPE train candidates one by one instead, until "
        "they have spent as much."
    )
    searched = [system for system in systems if typical_cell(system)]
    blocks: list[Block] = [Paragraph(explained)]
    subject = next((system for system in searched if system.name == SUBJECT), searched[0] if searched else None)
    if subject:
        blocks += _network(subject, prefix)
    blocks.append(choices)
    expected = {
        system.label: costs
        for system in searched
        if is_one_shot(system.cells[0]) and (costs := curves(system, "search", "expected_cost"))
    }
    if expected:
        blocks.append(cost_plot(expected, f"{prefix}search-cost"))
    if subject:
        blocks += _probabilities(subject, prefix)
    if before := section.system(NO_WARMUP.name):
        blocks += _options(before, before.label, f"{prefix}search-options-no-warmup")
    return Chapter("search", "The search", blocks)


def _network(subject: SystemCells, prefix: str) -> list[Block]:
    cell = typical_cell(subject)
    architectures = searched_architectures([cell]) if cell else {}
    return [
        network_plot(architecture, f"{subject.label} (seed {seed})", f"{prefix}network")
        for seed, architecture in architectures.items()
    ]


def _probabilities(subject: SystemCells, prefix: str) -> list[Block]:
    blocks: list[Block] = []
    architectures = searched_architectures(subject.cells)
    with_probabilities = {
        seed: architecture
        for seed, architecture in architectures.items()
        if architecture.probabilities.keys() >= {"pruning", "depth"}
    }
    entropies = {
        name: values
        for name, key in (("α", "entropy_pruning"), ("β", "entropy_depth"))
        if (values := curves(subject, "search", key))
    }
    if entropies and architectures:
        space = next(iter(architectures.values())).space
        options = {"α": len(space.candidates), "β": len(space.depths)}
        shown = {name: values for name, values in entropies.items() if options[name] > 1}
        if shown:
            blocks.append(entropy_plot(shown, options, f"{prefix}search-entropy"))
    blocks += _options(subject, "What the data want and what the constraint pulls", f"{prefix}search-options")
    if with_probabilities:
        blocks.append(probabilities_plot(with_probabilities, subject.label, f"{prefix}search-probabilities"))
    return blocks


def _options(system: SystemCells, title: str, name: str) -> list[Block]:
    """Plot of each option's cross entropy, charge and probability; empty if not recorded."""
    histories = {cell.result.seed: read_history(cell.folder / HISTORIES["search"]) for cell in system.cells}
    choices = option_curves(histories)
    if not choices:
        return []
    warmup = max(sum(row.get("warmup", 0.0) for row in rows) for rows in histories.values())
    return [options_plot(choices, warmup, title, name)]


def training_chapter(section: Section, systems: Sequence[SystemCells], prefix: str) -> Chapter | None:
    """Chapter of the training curves of the evaluated networks."""
    blocks: list[Block] = []
    accuracy, ranking = f"ndcg@10_{section.ranking}", f"validation NDCG@10, {RANKINGS[section.ranking]}"
    for key, name, title, unit in (
        (accuracy, "training-ndcg", "Validation NDCG@10 during training", ranking),
        ("train_loss", "training-loss", "Loss during training", "cross entropy, nats"),
    ):
        trainings = {system.label: (system.first.group, curves(system, "training", key)) for system in systems}
        recorded = {label: pair for label, pair in trainings.items() if pair[1]}
        if recorded:
            blocks.append(training_plot(recorded, f"{prefix}{name}", title, unit))
    if not blocks:
        return None
    explained = (
        "Of the users that select: curves that still rise at their right end say that the budget was too short for "
        "that system, and that more epochs could change the order. Searched networks that inherit weights start higher."
    )
    return Chapter("training", "Training", [Paragraph(explained), *blocks])


def provenance_chapter(section: Section) -> Chapter:
    """Chapter of budgets, settings, versions, commits, commands and unfinished cells."""
    explained = (
        "All systems of a study have the same split, negatives, early stopping, batch size and one hyper-parameter "
        "setting each; the test set was looked at once, at the end."
    )
    blocks: list[Block] = [
        Paragraph(explained),
        budget_table(section),
        _studies_table(section),
        _versions_table(section),
    ]
    for study in section.studies:
        text = json.dumps(study.document.settings, indent=2, ensure_ascii=False)
        blocks.append(Listing(f"Settings that all systems share ({study.path.name})", text))
    return Chapter("made", "How this was made", blocks)


def _studies_table(section: Section) -> Table:
    keys = ("tables", "seeds", "budget", "cells", "unfinished", "command", "commit")
    rows = []
    for study in section.studies:
        document = study.document
        values = (
            ", ".join(document.tables),
            ", ".join(str(seed) for seed in document.seeds),
            document.budget,
            str(len(study.cells)),
            str(len(study.unfinished)),
            document.command,
            document.commit or "not known",
        )
        rows.append(Row(study.path.name, {key: Entry(value) for key, value in zip(keys, values, strict=True)}))
    titles = ("tables", "seeds", "budget", "complete cells", "unfinished", "command", "commit")
    columns = [Column(key, title) for key, title in zip(keys, titles, strict=True)]
    return Table("Studies", columns, rows, first="folder")


def _versions_table(section: Section) -> Table:
    """Table of each package's versions and the commits, with their numbers of cells."""
    counts: dict[tuple[str, str], int] = {}
    for cell in section.cells:
        versions = {**cell.result.versions, "commit": cell.result.commit or "not known"}
        for item in versions.items():
            counts[item] = counts.get(item, 0) + 1
    names = sorted({name for name, _ in counts}, key=lambda name: (name == "commit", name))
    total = len(section.cells)
    rows = []
    for name in names:
        cells_by_version = {version: count for (package, version), count in counts.items() if package == name}
        text = "; ".join(
            version if count == total else f"{version} ({count} cell{'s' if count > 1 else ''})"
            for version, count in sorted(cells_by_version.items())
        )
        rows.append(Row(name, {"version": Entry(text)}))
    note = "“+changes” after a commit: the code had been edited since."
    return Table("Versions", [Column("version", "version")], rows, first="package", notes=[note])
