"""A trial: search, freeze, retrain, with NNI (``python -m easrec_nni.trial``) or without."""

from __future__ import annotations

import logging
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from easrec_nni.common.errors import UserError
from easrec_nni.common.locks import exclusive_lock
from easrec_nni.settings.assignments import read_assignments
from easrec_nni.settings.trial import TrialSettings
from easrec_nni.settings.trial_command import read_trial_arguments
from easrec_nni.training.context import TrialContext
from easrec_nni.training.threads import use_threads
from easrec_nni.trial.final_result import final_result
from easrec_nni.trial.nni_io import (
    experiment_params,
    output_dir,
    report_final,
    trial_parameters,
    trial_threads,
)
from easrec_nni.trial.reports import EpochReports
from easrec_nni.trial.stages import StageResults, run_stages
from easrec_nni.trial.tuner_direction import check_direction
from easrec_nni.trial.unpruned import unpruned_root

__all__ = ["TrialResult", "run_program", "run_trial", "stage_result"]

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrialResult:
    """Folder and final result of a trial."""

    folder: Path
    report: dict[str, Any]


def run_trial(settings: TrialSettings, out: Path, *, progress: bool = False, restart: bool = False) -> TrialResult:
    """Search, freeze and retrain; report epochs and the final result to NNI.

    An interrupted trial resumes in its folder; see :mod:`easrec_nni.training.history`.

    Parameters
    ----------
    settings
        Trial settings, with the sampled hyper-parameters.
    out
        Folder for ``architecture.json``, ``supernet.safetensors``, ``retrained/`` and ``trial.log``.
    progress
        Whether to draw a progress bar.
    restart
        Whether to start over in a folder that holds another run.
    """
    context = TrialContext.open(settings)
    with exclusive_lock(out):
        reports = EpochReports.of(context, out)
        results = run_stages(
            context,
            out,
            reports.epoch,
            unpruned_root=unpruned_root(out),
            on_architecture=reports.begin_retraining,
            progress=progress,
            restart=restart,
        )
        reports.close()
        report = stage_result(context, results, out)
        report_final(report)
    return TrialResult(out, report)


def stage_result(context: TrialContext, results: StageResults, folder: Path) -> dict[str, Any]:
    """Final result of a trial's stages; see :func:`~easrec_nni.trial.final_result.final_result`."""
    return final_result(
        context,
        results.retrained.figures,
        results.architecture,
        folder,
        search_seconds=results.search_seconds,
        retrain_seconds=results.retrain_seconds,
        judgement=results.judgement,
    )


def run_program(run: Callable[[dict[str, Any]], Any]) -> int:
    """Set up logging, parameters and threads of a trial's program, run it, return the exit code.

    Parameters
    ----------
    run
        Function of the sampled hyper-parameters; its result is logged.
    """
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", stream=sys.stdout)
    # NNI interrupts a trial that the assessor or a user has ended. Lightning would turn that into an exit code, which
    # NNI takes for a failure, so the process must die of the signal. Files are written atomically.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        # First of all: NNI counts a trial that has not requested its parameters as never started.
        parameters = trial_parameters()
        check_direction(experiment_params())  # `easrec launch` has checked it, `nnictl create` has not
        threads = use_threads(trial_threads())
        _logger.info("trial with %s on %d thread(s)", parameters or "the settings as they are", threads)
        _logger.info("done: %s", run(parameters))
    except UserError as error:
        # NNI shows the end of stderr as the reason of a failure.
        print(f"error: {error.message}", file=sys.stderr)
        return 2
    return 0


def main(arguments: list[str] | None = None) -> int:
    """Run as an NNI trial; return its exit code."""
    try:
        file, pairs = read_trial_arguments(sys.argv[1:] if arguments is None else arguments)
    except UserError as error:
        print(f"error: {error.message}", file=sys.stderr)
        return 2

    def run(parameters: dict[str, Any]) -> dict[str, Any]:
        settings = TrialSettings.read(file).with_parameters({**read_assignments(pairs), **parameters})
        out = output_dir("trial")
        out.mkdir(parents=True, exist_ok=True)
        return run_trial(settings, out).report

    return run_program(run)
