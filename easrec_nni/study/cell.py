"""Run a cell of a table: search, retraining and evaluation of one system with one seed.

The cell's folder holds its state: complete stages are not repeated, and an interrupted run resumes.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from easrec_nni.architecture.document import Architecture
from easrec_nni.architecture.schema import DatasetIdentity
from easrec_nni.bench.memory import peak_memory_bytes
from easrec_nni.common.errors import UserError
from easrec_nni.common.files import atomic_copy, write_json
from easrec_nni.common.locks import exclusive_lock
from easrec_nni.common.provenance import provenance
from easrec_nni.common.run_files import RANKS_FILE, WEIGHTS_FILE
from easrec_nni.data.dataset import Dataset
from easrec_nni.evaluation.final import final_evaluation
from easrec_nni.evaluation.rank_files import write_ranks
from easrec_nni.searching.stage import SearchResult
from easrec_nni.settings.trial import TrialSettings
from easrec_nni.study.cells import Cell, cell_settings, lacks_refit, read_result
from easrec_nni.study.documents import RESULT_FILE, SCHEMA_VERSION, CellResult
from easrec_nni.study.folder import without_refit
from easrec_nni.study.systems import SYSTEMS, System
from easrec_nni.training.context import TrialContext
from easrec_nni.trial.stages import EpochReport, run_stages

__all__ = ["run_cell", "run_cell_in"]

SHARED = {"test", "valid", "valid_selection_users", "cost", "negatives_version", "inference", "test_refitted"}
"""Figures of the retraining stage that are copied to the cell's result."""


def run_cell(
    cell: Cell,
    base: TrialSettings,
    folder: Path,
    *,
    on_epoch: EpochReport | None = None,
    progress: bool = False,
) -> CellResult:
    """Run a cell, resume it, or return its existing result.

    Parameters
    ----------
    cell
        Cell to run.
    base
        Settings that all cells of the study share.
    folder
        Folder of the cell.
    on_epoch
        Called with the phase (``search``, ``retrain``) and the row of every epoch, those before an interruption
        included.
    progress
        Whether to show a progress bar.

    Raises
    ------
    UserError
        The settings do not fit, or the folder holds a run with other settings.
    """
    context = TrialContext.open(cell_settings(cell, base))
    return run_cell_in(context, cell, folder, on_epoch=on_epoch, progress=progress)


def run_cell_in(
    context: TrialContext,
    cell: Cell,
    folder: Path,
    *,
    on_epoch: EpochReport | None = None,
    on_architecture: Callable[[Architecture, SearchResult | None], None] | None = None,
    progress: bool = False,
) -> CellResult:
    """:func:`run_cell` with an open context; ``on_architecture`` is passed to ``run_stages``."""
    with exclusive_lock(folder):
        result = read_result(folder)
        if result is not None:
            _check_same(result, context, folder)
            if not lacks_refit(result, context.settings):
                return result
        system = SYSTEMS[cell.system]
        if system.baseline is not None:
            figures = _measure_baseline(system.baseline, context, folder)
        else:
            figures = _run_stages(context, folder, on_epoch, on_architecture, progress)
        result = _result(cell, system, context, figures)
        write_json(folder / RESULT_FILE, result.as_json())  # last: its presence means that the cell is complete
    return result


def _check_same(result: CellResult, context: TrialContext, folder: Path) -> None:
    same_data = result.dataset.fingerprint == context.dataset.fingerprint
    # Parsed again, so that settings added by a later version have their defaults.
    recorded = TrialSettings.reopen(result.settings, str(folder / RESULT_FILE))
    if without_refit(recorded) != without_refit(context.settings) or not same_data:
        what = "settings" if same_data else "data"
        raise UserError(f"{folder} holds a result with other {what}: choose another --out, or remove that folder")


def _run_stages(
    context: TrialContext,
    folder: Path,
    on_epoch: EpochReport | None,
    on_architecture: Callable[[Architecture, SearchResult | None], None] | None,
    progress: bool,
) -> dict[str, Any]:
    """Run the stages of a trained system and return its figures."""
    space = context.space
    results = run_stages(
        context,
        folder,
        on_epoch,
        architecture=context.architecture(space.largest) if space.is_fixed else None,
        search_folder=folder / "search",
        on_architecture=on_architecture,
        progress=progress,
    )
    atomic_copy(results.retrained.folder / RANKS_FILE, folder / RANKS_FILE)
    figures = results.retrained.figures
    training, refit = figures.training, figures.refit
    return {
        **figures.model_dump(include=SHARED, exclude_unset=True),
        "bytes_on_disk": (results.retrained.folder / WEIGHTS_FILE).stat().st_size,
        "choices": None if results.search is None else figures.choices,
        "training": {
            "search_seconds": results.search_seconds,
            "search_epochs_run": 0 if results.search is None else len(results.search.history),
            "retrain_seconds": training.seconds,
            "retrain_epochs_run": training.epochs,
            "best_epoch": training.best_epoch,
            **({"refit_epochs": refit.epochs, "refit_seconds": refit.seconds} if refit is not None else {}),
            "threads": training.threads,
            "peak_memory_bytes": peak_memory_bytes(),
        },
    }


def _measure_baseline(baseline: Callable[[Dataset], Any], context: TrialContext, folder: Path) -> dict[str, Any]:
    """Evaluate a training-free baseline and return its figures."""
    begin = time.perf_counter()
    network = baseline(context.dataset)
    seconds = time.perf_counter() - begin
    figures, ranks = final_evaluation(
        network, context.dataset, context.settings.search.arch_share, context.settings.select_by
    )
    write_ranks(ranks, folder / RANKS_FILE)
    return {
        **figures,
        "cost": {},
        "bytes_on_disk": 0,
        "choices": None,
        "training": {"retrain_seconds": seconds, "search_seconds": 0.0},
    }


def _result(cell: Cell, system: System, context: TrialContext, figures: dict[str, Any]) -> CellResult:
    settings = context.settings
    searches = not system.fixed and system.baseline is None
    return CellResult(
        schema_version=SCHEMA_VERSION,
        system=system.name,
        title=system.title,
        group=system.group,
        source=system.source,
        seed=cell.seed,
        parameters=dict(cell.parameters),
        dataset=DatasetIdentity.of(context.dataset),
        **figures,
        budget={
            "search_epochs": settings.search.epochs if searches else 0,
            "retrain_epochs": 0 if system.baseline else settings.retrain.epochs,
            "patience": settings.retrain.patience,
            "batch_size": settings.retrain.batch_size,
            "hyperparameter_trials": 1,
        },
        settings=settings.model_dump(mode="json", by_alias=True),
        **provenance(),
    )
