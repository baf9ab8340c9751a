"""A cell as a trial of NNI: ``python -m easrec_nni.study.trial --study FOLDER``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from easrec_nni.architecture.document import Architecture
from easrec_nni.experiments.export import ARCHITECTURE_FILE, WEIGHTS_FILE
from easrec_nni.settings.trial import TrialSettings
from easrec_nni.study.cell import run_cell
from easrec_nni.study.cells import Cell, cell_settings
from easrec_nni.study.folder import Study, read_settings
from easrec_nni.trial.nni_io import output_dir, report_final, tensorboard_dir
from easrec_nni.trial.objective import Objective
from easrec_nni.trial.reports import EpochReports
from easrec_nni.trial.run import final_result, run_program
from search_spaces import SpaceConfig
from strategies import MULTI_TRIAL_STRATEGIES

__all__ = ["main", "run_cell_trial"]


def run_cell_trial(study: Path, parameters: dict[str, Any]) -> dict[str, Any]:
    """Run the cell that the tuner drew and report it to NNI, with all that a trial of a search reports.

    Beside the cell's own folder, NNI's folder of the trial gets its ``architecture.json`` and a link to its supernet,
    so that ``easrec show`` and ``easrec export`` take them from the experiment.

    Parameters
    ----------
    study
        Folder of the study.
    parameters
        ``system``, ``seed`` and further dotted settings.

    Returns
    -------
    dict
        The final result: :func:`~easrec_nni.trial.run.final_result`, the system and the parameters.
    """
    shared = read_settings(study)
    cell = Cell.sampled(parameters)
    folder = Study(study, shared).cell_folder(cell)
    settings = cell_settings(cell, shared)
    space = settings.space_for(settings.dataset())
    reports = _CellReports(folder, settings, space)
    result = run_cell(cell, shared, folder, on_epoch=reports.epoch)
    architecture, files = _architecture(folder), output_dir(folder)
    if architecture is not None:
        _place_files(architecture, folder, files)
        reports.show(architecture)
    reports.close()
    training = {name: result["training"][name] for name in ("search_seconds", "retrain_seconds")}
    report = {
        **final_result(result, settings, space, architecture, files, **training),
        "system": result["system"],
        **result["parameters"],
    }
    report_final(report)
    return report


class _CellReports(EpochReports):
    """Epochs of a cell, which tells of its search's end by beginning to retrain."""

    def __init__(self, folder: Path, settings: TrialSettings, space: SpaceConfig) -> None:
        fixed = space.largest.model_dump(mode="json") if space.is_fixed else None
        super().__init__(tensorboard_dir(folder), Objective.of(settings, space), fixed)
        self._folder, self._settings, self._is_searching = folder, settings, not space.is_fixed
        self._history: list[dict[str, float]] = []

    def epoch(self, phase: str, row: dict[str, float]) -> None:
        if phase == "search":
            self._history.append(row)
        elif self._is_searching:
            self._is_searching = False
            found = Architecture.read(self._folder / "search" / ARCHITECTURE_FILE)
            by_trials = self._settings.search.strategy in MULTI_TRIAL_STRATEGIES
            epochs = None if by_trials else self._settings.search.epochs
            self.end_search(self._history, found.choices.model_dump(mode="json"), epochs)
        super().epoch(phase, row)

    def show(self, architecture: Architecture) -> None:
        """Draw the network for TensorBoard."""
        if self.board is not None:
            self.board.network(architecture)


def _architecture(folder: Path) -> Architecture | None:
    """What a cell's search found, or the fixed network that it trained; None of a baseline."""
    files = [folder / stage / ARCHITECTURE_FILE for stage in ("search", "retrained")]
    return next((Architecture.read(file) for file in files if file.is_file()), None)


def _place_files(architecture: Architecture, folder: Path, files: Path) -> None:
    """Put a cell's architecture, and a link to the weights that its search found, where a trial's own would be."""
    architecture.write(files / ARCHITECTURE_FILE)
    weights, link = (folder / "search" / WEIGHTS_FILE).resolve(), files / WEIGHTS_FILE
    if weights.is_file() and not link.exists():
        link.unlink(missing_ok=True)  # one that leads nowhere
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
