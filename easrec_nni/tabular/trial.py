"""NNI trial that trains one run of a table: ``python -m easrec_nni.tabular.trial --build FOLDER``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from easrec_nni.common.locks import exclusive_lock
from easrec_nni.data.loading import load_dataset
from easrec_nni.tabular.build_folder import BuildFolder, Run
from easrec_nni.tabular.building import run_context, train_run
from easrec_nni.training.history import replay_history
from easrec_nni.trial.final_result import final_result
from easrec_nni.trial.nni_io import report_final
from easrec_nni.trial.reports import EpochReports
from easrec_nni.trial.run import run_program

__all__ = ["main", "run_table_trial"]


def run_table_trial(folder: Path, parameters: dict[str, Any]) -> dict[str, Any]:
    """Train the run sampled by the tuner, and report to NNI like a search trial.

    Parameters
    ----------
    folder
        Folder of the build.
    parameters
        ``pruning``, ``depth`` and ``seed``.

    Returns
    -------
    dict
        Final result: :func:`~easrec_nni.trial.final_result.final_result`.
    """
    build = BuildFolder.read(folder)
    dataset = load_dataset(build.settings.data)
    run = Run.sampled(parameters, build.settings.space_for(dataset))
    context, run_folder = run_context(build, run, dataset), build.folder(run)
    architecture = context.architecture(run.choice)
    reports = EpochReports.of(context, run_folder)
    reports.begin_retraining(architecture, None)
    with exclusive_lock(run_folder):
        replay_history(reports.epoch, retrain=run_folder)
        figures = train_run(build, run, dataset, on_epoch=lambda row: reports.epoch("retrain", row))
    reports.close()
    report = final_result(
        context, figures, architecture, run_folder, search_seconds=0.0, retrain_seconds=figures.training.seconds
    )
    report_final(report)
    return report


def main(arguments: list[str] | None = None) -> int:
    """Train the sampled run; return the exit code."""
    words = sys.argv[1:] if arguments is None else arguments
    if len(words) != 2 or words[0] != "--build":
        print("usage: python -m easrec_nni.tabular.trial --build FOLDER   (as trialCommand)", file=sys.stderr)
        return 2
    return run_program(lambda parameters: run_table_trial(Path(words[1]), parameters))


if __name__ == "__main__":
    sys.exit(main())
