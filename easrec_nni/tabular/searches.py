"""Finished searches: the architectures that they exported, and what they cost."""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from easrec_nni.architecture.cost_kinds import COST_FIGURES
from easrec_nni.architecture.document import Architecture
from easrec_nni.common.errors import UserError
from easrec_nni.common.run_files import ARCHITECTURE_FILE, HISTORY_FILE
from easrec_nni.searching.by_trials import SUPERNET_EPOCHS_OF_LARGEST
from easrec_nni.tabular.table import ArchitectureTable, TableEntry
from easrec_nni.training.history import read_history
from search_spaces import SpaceConfig

__all__ = ["ExportedSearch", "read_search", "read_searches"]

RECIPE_FIELDS = ("dropout", "supernet")  # of a space; they change no network
COLUMNS = (
    "strategy",
    "seed",
    "architecture",
    "budget_share",
    "budget_cost",
    "search_epochs_of_largest",
    "search_seconds",
    "folder",
)
"""Columns of a ``searches.csv`` that are read; the others follow from the table."""


@dataclass(frozen=True)
class ExportedSearch:
    """Architecture that a search exported, as an entry of a table.

    Attributes
    ----------
    label
        Name of the strategy.
    seed
        Seed of the search.
    entry
        The architecture.
    epochs_of_largest
        Cost of the search in epochs of the largest network; None without a history.
    seconds
        Its computing time in seconds; None without a history.
    folder
        Folder of the search.
    budget
        Share of the unpruned network's cost that the search was to keep to; None for a search without a budget.
    budget_kind
        Kind of that cost.
    budget_used
        Cost of the architecture in that kind, as a share of the unpruned network's; None without a budget.
    """

    label: str
    seed: int
    entry: TableEntry
    epochs_of_largest: float | None
    seconds: float | None
    folder: Path
    budget: float | None = None
    budget_kind: str | None = None
    budget_used: float | None = None


def read_searches(source: str, table: ArchitectureTable) -> list[ExportedSearch]:
    """Read the folder of a search, or a ``searches.csv`` of ``easrec table regret`` with many.

    Raises
    ------
    UserError
        As of :func:`read_search`; or the file is damaged, or has an architecture that the table does not have.
    """
    file = Path(source)
    if file.suffix == ".csv" and file.is_file():
        return _read_rows(file, table)
    return [read_search(source, table)]


def _read_rows(file: Path, table: ArchitectureTable) -> list[ExportedSearch]:
    """Searches of a ``searches.csv``; their figures and costs are the table's, whatever the file says."""
    entries = {str(entry): entry for entry in table.entries}
    found = []
    for number, row in enumerate(_rows(file), start=1):
        if row["architecture"] not in entries:
            raise UserError(f"{file}, row {number}: the table has no architecture {row['architecture']!r}")
        try:
            found.append(_of_row(row, entries[row["architecture"]], table))
        except (TypeError, ValueError) as error:
            raise UserError(f"{file}, row {number} is damaged ({error}): give the searches' folders") from None
    if not found:
        raise UserError(f"{file} has no searches")
    return found


def _rows(file: Path) -> list[dict[str, str]]:
    """Rows of a ``searches.csv`` with all columns that are used."""
    try:
        with file.open(newline="", encoding="utf-8") as text:
            reader = csv.DictReader(text)
            missing = [name for name in COLUMNS if name not in (reader.fieldnames or ())]
            if missing:
                raise UserError(f"{file} is not a searches.csv of `easrec table regret`: it has no column {missing[0]}")
            return list(reader)
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{file} is not a CSV file ({error}): give the searches' folders") from None


def _of_row(row: Mapping[str, str], entry: TableEntry, table: ArchitectureTable) -> ExportedSearch:
    kind = row["budget_cost"] or None
    known = kind in table.cost_kinds
    return ExportedSearch(
        label=row["strategy"],
        seed=int(row["seed"]),
        entry=entry,
        epochs_of_largest=_number(row["search_epochs_of_largest"]),
        seconds=_number(row["search_seconds"]),
        folder=Path(row["folder"]),
        budget=_number(row["budget_share"]),
        budget_kind=kind,
        budget_used=table.cost(entry, kind) / table.cost(table.largest, kind) if known else None,
    )


def _number(text: str) -> float | None:
    return float(text) if text else None


def read_search(source: str, table: ArchitectureTable) -> ExportedSearch:
    """Read the folder of a search.

    Parameters
    ----------
    source
        ``FOLDER`` or ``LABEL=FOLDER``; the folder of a search, or of a study's cell with the folder ``search``. Without
        a label, the folder's name, or that of its parent if the folder is ``seed3``.
    table
        Table of the same space and dataset.

    Raises
    ------
    UserError
        There is no architecture, or it is of another dataset or space, or the table does not have it yet.
    """
    label, separator, path = source.partition("=")
    folder = Path(path if separator else source)
    file = next((f for f in (folder / ARCHITECTURE_FILE, folder / "search" / ARCHITECTURE_FILE) if f.is_file()), None)
    if file is None:
        raise UserError(f"{folder} holds no finished search: it has no architecture.json")
    architecture = Architecture.read(file)
    _check_same(architecture, table, file)
    epochs, seconds = _cost(file.parent / "state" / HISTORY_FILE, architecture.space)
    return ExportedSearch(
        label=label if separator else _label(folder.resolve()),
        seed=architecture.seed or 0,
        entry=table.query(architecture.choices),
        epochs_of_largest=epochs,
        seconds=seconds,
        folder=folder,
        **_budget(architecture),
    )


def _label(folder: Path) -> str:
    return folder.parent.name if re.fullmatch(r"seed\d+", folder.name) else folder.name


def _budget(architecture: Architecture) -> dict[str, Any]:
    """Fields on the budget of a search; none without a budget."""
    if architecture.budget is None:
        return {}
    kind = architecture.cost_kind or "nominal"
    costs = [cost.get(COST_FIGURES[kind]) for cost in (architecture.cost, architecture.unpruned_cost or {})]
    used = costs[0] / costs[1] if costs[0] is not None and costs[1] else None
    return {"budget": architecture.budget, "budget_kind": kind, "budget_used": used}


def _check_same(architecture: Architecture, table: ArchitectureTable, file: Path) -> None:
    dataset = architecture.dataset
    if dataset is None or dataset.fingerprint != table.document.dataset.fingerprint:
        name = "an unknown dataset" if dataset is None else f"another preparation of {dataset.name}"
        raise UserError(f"{file} was searched on {name}: the table is of {table.document.dataset.name}")
    networks = []
    for space in (architecture.space, table.space):
        try:
            networks.append(space.compact(architecture.choices).model_dump(exclude=set(RECIPE_FIELDS)))
        except ValueError as error:
            raise UserError(f"the table has no architecture such as {file}: {error}") from None
    different = [name for name, value in networks[0].items() if networks[1][name] != value]
    if different:
        raise UserError(f"{file} is of another space than the table: {', '.join(different)} differ")


def _cost(history: Path, space: SpaceConfig) -> tuple[float | None, float | None]:
    """Epochs of the largest network and seconds that a search took; None without its history."""
    if not history.is_file():
        return None, None
    rows = [row for row in read_history(history, "remove the file") if row["epoch"] >= 0]
    if any("price" in row for row in rows):
        epochs = sum(row["price"] for row in rows)
    else:
        epochs = len(rows) * SUPERNET_EPOCHS_OF_LARGEST[space.supernet]
    return epochs, sum(row["seconds"] for row in rows)
