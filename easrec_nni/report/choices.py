"""Architectures chosen by the searches, seed by seed, and the budgets of all systems."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from easrec_nni.architecture.document import LARGEST_DECIDED_ENTROPY, Architecture, is_decided
from easrec_nni.architecture.training_settings import EARLIER_DEFAULTS
from easrec_nni.report.content import Column, Entry, Row, Table
from easrec_nni.report.histories import searched_architectures
from easrec_nni.report.reading import CellRecord
from easrec_nni.report.sections import Section, SystemCells

__all__ = ["budget_table", "budget_warning", "choices_table", "typical_cell"]


def _choice_text(cell: CellRecord) -> str:
    choices = cell.result.choices or {}
    hidden, inner, depth = (choices.get(key, 0.0) for key in ("hidden_pruning", "inner_pruning", "depth"))
    layers = f"{depth:.0f} layer{'s' if depth != 1 else ''}"
    return f"{layers}, {hidden:.0%} / {inner:.0%}"


def _certainty(architecture: Architecture | None) -> str:
    """Entropies at the end of a search, in brackets; empty for multi-trial search."""
    if architecture is None or not architecture.entropies:
        return ""
    entropies = ", ".join(
        f"{symbol} {architecture.entropies[label]:.2f}"
        for symbol, label in (("α", "pruning"), ("β", "depth"))
        if label in architecture.entropies
    )
    return f" ({entropies}{'' if is_decided(architecture.entropies) else ', undecided'})"


def typical_cell(system: SystemCells) -> CellRecord | None:
    """Cell with the architecture most seeds chose, smallest seed first; None without a search."""
    cells = [cell for cell in system.cells if cell.result.choices]
    if not cells:
        return None
    counts = Counter(_choice_text(cell) for cell in cells)
    return max(cells, key=lambda cell: (counts[_choice_text(cell)], -cell.result.seed))


def choices_table(section: Section) -> Table | None:
    """Table of the architecture of every searched system and seed; None without a search."""
    systems = [system for system in section.all_systems if any(cell.result.choices for cell in system.cells)]
    if not systems:
        return None
    seeds = sorted({seed for system in systems for seed in system.seeds})
    columns = [Column(f"seed{seed}", f"seed {seed}") for seed in seeds]
    rows = []
    for system in systems:
        architectures = searched_architectures(system.cells)
        texts = {
            f"seed{cell.result.seed}": Entry(_choice_text(cell) + _certainty(architectures.get(cell.result.seed)))
            for cell in system.cells
            if cell.result.choices
        }
        rows.append(Row(system.label, texts, system.first.group, system.name))
    note = (
        "Number of layers, share of hidden / of inner dimensions cut away; in brackets the entropies of α (widths) and "
        f"β (layers) at the end, in nats, “undecided” where one is above {LARGEST_DECIDED_ENTROPY}. Where the seeds of "
        "a system disagree, the search is unsure: single choices are then not worth an explanation."
    )
    return Table("What each search chose", columns, rows, notes=[note])


@dataclass(frozen=True)
class _Budget:
    """Budget of a system: epochs, patience, batch size, hyper-parameter trials."""

    search: int
    retrain: int
    patience: int
    batch: int
    trials: int

    @property
    def comparable(self) -> tuple[int, int, int]:
        """Part that all trained systems should share: total epochs, batch size, trials."""
        return self.search + self.retrain, self.batch, self.trials


def _budgets(system: SystemCells) -> list[_Budget]:
    keys = ("search_epochs", "retrain_epochs", "patience", "batch_size", "hyperparameter_trials")
    budgets = (_Budget(*(int(cell.result.budget.get(key, 0)) for key in keys)) for cell in system.cells)
    return sorted(dict.fromkeys(budgets), key=lambda budget: (budget.search, budget.retrain))


def _budget_text(budget: _Budget, key: str) -> str:
    return str(getattr(budget, key)) if budget.comparable[0] else "–"  # baselines are not trained


def budget_table(section: Section) -> Table:
    """Table of allowed and used epochs of every system."""
    columns = [
        Column("search", "search epochs, at most", "allowed"),
        Column("retrain", "training epochs, at most", "allowed"),
        Column("patience", "patience, epochs", "allowed"),
        Column("batch", "batch size", "allowed"),
        Column("trials", "hyper-parameter settings", "allowed"),
        Column("search_run", "search epochs", "used, mean"),
        Column("retrain_run", "training epochs", "used, mean"),
        Column("best", "best epoch", "used, mean"),
    ]
    rows = []
    for system in section.all_systems:
        budgets = _budgets(system)
        entries = {
            key: Entry(" or ".join(dict.fromkeys(_budget_text(budget, key) for budget in budgets)))
            for key in ("search", "retrain", "patience", "batch", "trials")
        }
        for key, name in (
            ("search_run", "search_epochs_run"),
            ("retrain_run", "retrain_epochs_run"),
            ("best", "best_epoch"),
        ):
            measure = system.measure("training", name)
            entries[key] = Entry(f"{measure.mean:.1f}", measure.mean) if measure else Entry("–")
        rows.append(Row(system.label, entries, system.first.group, system.name))
    metrics = sorted(
        {str(cell.result.settings.get("select_by", EARLIER_DEFAULTS["select_by"])) for cell in section.cells}
    )
    note = (
        "A network without a search is allowed the epochs of search and training together. A training ends early when "
        f"its validation metric ({', '.join(metrics)}) has not improved for as many epochs as the patience says; the "
        "best epoch (counted from 0; "
        "−1 is the network before its training) is evaluated. Of a search by trials (random, evolution, TPE) “search "
        "epochs used” are the candidates that were trained, at the same total cost in multiply-adds."
    )
    return Table("What each system was given", columns, rows, notes=[note])


def budget_warning(systems: Sequence[SystemCells]) -> str | None:
    """Warning if trained systems had different epochs, batch sizes or trials; else None."""
    labels_by_budget: dict[tuple[int, int, int], list[str]] = {}
    for system in systems:
        for budget in _budgets(system):
            if budget.comparable[0]:  # baselines are not trained
                labels_by_budget.setdefault(budget.comparable, []).append(system.label)
    if len(labels_by_budget) < 2:
        return None
    parts = [
        f"{epochs} epochs, batches of {batch}, {trials} hyper-parameter setting{'s' if trials != 1 else ''}: "
        + ", ".join(dict.fromkeys(labels))
        for (epochs, batch, trials), labels in sorted(labels_by_budget.items(), reverse=True)
    ]
    return "Not all systems had the same budget; a difference may come from that alone. " + "; ".join(parts) + "."
