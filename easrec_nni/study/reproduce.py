"""``easrec reproduce``: run the cells of the paper's tables under NNI, measure and report."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from rich.console import Console

from easrec_nni.common.errors import UserError
from easrec_nni.common.run_files import RETRAINED_FOLDER
from easrec_nni.data.dataset import Dataset
from easrec_nni.data.loading import load_dataset
from easrec_nni.experiments.manager import DEFAULT_PORT
from easrec_nni.settings.examples import examples_folder
from easrec_nni.settings.trial import TrialSettings
from easrec_nni.study.budgets import with_budget
from easrec_nni.study.cells import Cell, cell_settings
from easrec_nni.study.documents import EFFICIENCY_FILE
from easrec_nni.study.efficiency import measure_study
from easrec_nni.study.folder import Study, open_study
from easrec_nni.study.running import run_grid
from easrec_nni.study.systems import SYSTEMS, find_systems
from easrec_nni.study.tables import TABLES, Grid

__all__ = ["Request", "grid_of", "reproduce", "settings_for"]


@dataclass(frozen=True)
class Request:
    """Request of a user to ``easrec reproduce``.

    Attributes
    ----------
    tables
        Names of :data:`~easrec_nni.study.tables.TABLES`.
    dataset
        Name of a prepared dataset, or path of its folder.
    systems
        Systems to run, by default those of the tables.
    seeds
        Number of seeds, counted from 0; by default that of the tables.
    budget
        Name of a budget.
    settings
        Settings file; by default the example for the dataset.
    changes
        Dotted settings that override the file's.
    out
        Folder of the study; ``studies/<dataset>`` by default.
    jobs
        Number of cells that run in parallel.
    port
        Preferred port of NNI's web UI.
    measure
        Whether to measure efficiency at the end.
    report
        Function that writes a report of studies into a folder, called at the end; None for no report.
    """

    tables: Sequence[str]
    dataset: str
    systems: Sequence[str] = ()
    seeds: int | None = None
    budget: str = "settings"
    settings: Path | None = None
    changes: Mapping[str, Any] = field(default_factory=dict)
    out: Path | None = None
    jobs: int | None = None
    port: int = DEFAULT_PORT
    measure: bool = True
    report: Callable[[Sequence[str | Path], Path], Path] | None = None


def settings_for(dataset: Dataset, file: Path | None) -> TrialSettings:
    """Settings of a file, or of the example for a dataset of this name.

    Raises
    ------
    UserError
        There is no example for the dataset.
    """
    if file is not None:
        return TrialSettings.read(file)
    examples = [TrialSettings.read(path) for path in sorted((examples_folder() / "settings").glob("*.yml"))]
    for settings in examples:
        if settings.data == dataset.name:
            return settings
    names_with_example = ", ".join(settings.data for settings in examples)
    raise UserError(
        f"there are no example settings for {dataset.name!r} (only for {names_with_example}): copy one, such "
        "as settings/my-log.yml, with `easrec init` and pass it with --settings"
    )


def grid_of(table: str, systems: Sequence[str], seeds: int | None) -> Grid:
    """Cells of a table.

    Raises
    ------
    UserError
        A table or system is unknown, or the table sweeps a setting of other systems than those asked for.
    """
    if table not in TABLES:
        raise UserError(f"there is no table {table!r}; choose from {', '.join(TABLES)}")
    definition = TABLES[table]
    names = tuple(system.name for system in find_systems(list(systems or definition.systems)))
    return Grid(names, tuple(range(seeds or definition.seeds)), definition.parameters)


def reproduce(request: Request, console: Console) -> bool:
    """Run the missing cells, measure and report.

    Returns
    -------
    bool
        Whether every cell has a result.

    Raises
    ------
    UserError
        The request has a mistake; nothing is run or written.
    """
    dataset = load_dataset(request.dataset)
    dataset.check_trainable()
    settings = settings_for(dataset, request.settings)
    # Trials run in another working directory, where a relative path would not be found.
    data = str(Path(request.dataset).expanduser().resolve()) if os.sep in request.dataset else request.dataset
    settings = with_budget(settings.with_parameters({**request.changes, "data": data}), request.budget)
    grids = {table: grid_of(table, request.systems, request.seeds) for table in dict.fromkeys(request.tables)}
    if not request.systems and not dataset.item_features:
        grids = {table: _without_features(grid, settings) for table, grid in grids.items()}
        _say(console, f"{dataset.name} has no item features: skipping systems that need them")
    for grid in grids.values():
        _check(grid, settings, dataset)
    out = request.out or Path("studies") / dataset.name
    missing: list[Cell] = []
    for table, grid in grids.items():
        study = open_study(out, dataset, settings, request.budget, table, grid)
        _say(console, f"{table}: {TABLES[table].title}; {len(grid.cells())} cells in {out}")
        missing += run_grid(
            study, grid, jobs=request.jobs, port=request.port, console=console, say=lambda line: _say(console, line)
        )
    if request.measure:
        _measure(study, list(grids.values()), console)
    if request.report is not None:
        _say(console, f"report: {request.report([out], out / 'report')}")
    if missing:
        names = ", ".join(cell.path.as_posix() for cell in missing[:5]) + (" …" if len(missing) > 5 else "")
        _say(console, f"{len(missing)} cells have no result ({names}); run the same command again")
    return not missing


def _check(grid: Grid, settings: TrialSettings, dataset: Dataset) -> None:
    """Check the settings of every system before any trial runs."""
    dataset.check_trainable()
    for cell in grid.cells():
        if cell.seed == grid.seeds[0]:
            cell_settings(cell, settings).space_for(dataset)  # not a TrialContext, which imports torch


def _without_features(grid: Grid, settings: TrialSettings) -> Grid:
    """Grid without the systems that use item features."""
    spaces = {name: SYSTEMS[name].settings(settings).space for name in grid.systems}
    return replace(grid, systems=tuple(name for name in grid.systems if spaces[name].get("features", "none") == "none"))


def _measure(study: Study, grids: Sequence[Grid], console: Console) -> None:
    """Measure the efficiency of one cell per system, with no trials running."""
    first_seeds = {cell.system: cell for grid in grids for cell in reversed(grid.cells()) if not cell.parameters}
    folders = [study.cell_folder(cell) for cell in first_seeds.values()]
    measured = measure_study(study.path, [folder for folder in folders if (folder / RETRAINED_FOLDER).is_dir()])
    _say(console, f"efficiency of {len(measured.rows)} systems measured: {study.path / EFFICIENCY_FILE}")


def _say(console: Console, line: str) -> None:
    console.print(line, markup=False, highlight=False, soft_wrap=True)
