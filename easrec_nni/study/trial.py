"""NNI trial that runs a cell: ``python -m easrec_nni.study.trial --study FOLDER``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from easrec_nni.architecture.document import Architecture
from easrec_nni.common.run_files import ARCHITECTURE_FILE, RETRAINED_FOLDER, SUPERNET_FILE
from easrec_nni.study.cell import run_cell_in
from easrec_nni.study.cells import Cell, cell_settings
from easrec_nni.study.folder import Study, read_settings
from easrec_nni.training.context import TrialContext
from easrec_nni.trial.final_result import final_result
from easrec_nni.trial.nni_io import output_dir, report_final
from easrec_nni.trial.reports import EpochReports
from easrec_nni.trial.run import run_program

__all__ = ["main", "run_cell_trial"]


def run_cell_trial(study: Path, parameters: dict[str, Any]) -> dict[str, Any]:
    """Run the cell sampled by the tuner, and report to NNI like a search trial.

    NNI's folder of the trial also gets the cell's ``architecture.json`` and a link to its supernet, so that ``easrec
    show`` and ``easrec export`` work on the experiment.

    Parameters
    ----------
    study
        Folder of the study.
    parameters
        ``system``, ``seed`` and further dotted settings.

    Returns
    -------
    dict
        Final result: :func:`~easrec_nni.trial.final_result.final_result`, the system and the parameters.
    """
    shared = read_settings(study)
    cell = Cell.sampled(parameters)
    folder = Study(study, shared).cell_folder(cell)
    context = TrialContext.open(cell_settings(cell, shared))
    reports = EpochReports.of(context, folder)
    result = run_cell_in(context, cell, folder, on_epoch=reports.epoch, on_architecture=reports.begin_retraining)
    architecture, files = _architecture(folder), output_dir(folder)
    if architecture is not None:
        _place_files(architecture, folder, files)
        reports.draw(architecture)  # if the cell was already complete
    reports.close()
    report = final_result(
        context,
        result,
        architecture,
        files,
        search_seconds=result.training["search_seconds"],
        retrain_seconds=result.training["retrain_seconds"],
    )
    report |= {"system": result.system, **result.parameters}
    report_final(report)
    return report


def _architecture(folder: Path) -> Architecture | None:
    """Architecture of a cell, searched or fixed; None for a baseline."""
    files = [folder / stage / ARCHITECTURE_FILE for stage in ("search", RETRAINED_FOLDER)]
    return next((Architecture.read(file) for file in files if file.is_file()), None)


def _place_files(architecture: Architecture, folder: Path, files: Path) -> None:
    """Write a cell's architecture, and link its supernet's weights, to the trial's folder."""
    architecture.write(files / ARCHITECTURE_FILE)
    weights, link = (folder / "search" / SUPERNET_FILE).resolve(), files / SUPERNET_FILE
    if weights.is_file() and not link.exists():
        link.unlink(missing_ok=True)  # remove a dangling link
        link.symlink_to(weights)


def main(arguments: list[str] | None = None) -> int:
    """Run the sampled cell; return the exit code."""
    words = sys.argv[1:] if arguments is None else arguments
    if len(words) != 2 or words[0] != "--study":
        print("usage: python -m easrec_nni.study.trial --study FOLDER   (as trialCommand)", file=sys.stderr)
        return 2
    return run_program(lambda parameters: run_cell_trial(Path(words[1]), parameters))


if __name__ == "__main__":
    sys.exit(main())
