"""A trial: search, freeze, retrain, under NNI (``python -m easrec_nni.trial``) or without it (``easrec search``)."""

from __future__ import annotations

import logging
import signal
import socket
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from easrec_nni.architecture.document import Architecture, is_decided
from easrec_nni.common.errors import UserError
from easrec_nni.common.locks import alone
from easrec_nni.data.dataset import Dataset
from easrec_nni.settings.assignments import read_assignments
from easrec_nni.settings.trial import TrialSettings
from easrec_nni.training.history import tell_again
from easrec_nni.trial.nni_io import (
    experiment_params,
    output_dir,
    report_final,
    tensorboard_dir,
    trial_parameters,
    trial_threads,
)
from easrec_nni.trial.objective import Objective
from easrec_nni.trial.reports import EpochReports
from easrec_nni.trial.tuner_direction import check_direction
from search_spaces import SpaceConfig, candidate_label

__all__ = ["TrialResult", "final_result", "run_program", "run_trial"]

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrialResult:
    """Where a trial's files are and what it reports."""

    folder: Path
    report: dict[str, Any]


def run_trial(settings: TrialSettings, out: Path, *, progress: bool = False, restart: bool = False) -> TrialResult:
    """Search, freeze and retrain; every epoch and the end are reported to NNI where this is one of its trials.

    A trial that was cut short goes on in its folder; see :mod:`easrec_nni.training.history`.

    Parameters
    ----------
    settings
        With the sampled hyper-parameters put in.
    out
        Folder for ``architecture.json``, ``supernet.safetensors``, ``retrained/`` and ``trial.log``.
    progress
        Whether to draw a progress bar.
    restart
        Begin anew in a folder that holds another run.
    """
    dataset = settings.dataset()
    dataset.check_trainable()
    settings.space_for(dataset)  # a mistake in the space should end the trial now, not after the imports
    with alone(out):
        report = _search_and_retrain(settings, dataset, out, progress, restart)
        report_final(report)
    return TrialResult(out, report)


def _search_and_retrain(
    settings: TrialSettings, dataset: Dataset, out: Path, progress: bool, restart: bool
) -> dict[str, Any]:
    """Final result of a trial; epochs of earlier processes are reported again, each before those that follow it."""
    from easrec_nni.retraining.stage import retrain
    from easrec_nni.searching.stage import search
    from strategies import MULTI_TRIAL_STRATEGIES

    space = settings.space_for(dataset)
    reports = EpochReports(tensorboard_dir(out), Objective.of(settings, space))
    if not restart:
        tell_again(reports.epoch, search=out)
    found = search(
        dataset, settings, out, progress=progress, on_epoch=lambda row: reports.epoch("search", row), restart=restart
    )
    by_trials = settings.search.strategy in MULTI_TRIAL_STRATEGIES
    choices = found.architecture.choices.model_dump(mode="json")
    reports.end_search(found.history, choices, None if by_trials else settings.search.epochs)
    if reports.board is not None:
        reports.board.network(found.architecture)
    if not restart:
        tell_again(reports.epoch, retrain=out / "retrained")
    retrained = retrain(
        found.architecture,
        dataset,
        out / "retrained",
        weights=found.supernet if settings.retrain.weights == "inherit" else None,
        settings=settings.with_parameters({}),  # every key said: these, whatever an earlier search's file records
        progress=progress,
        on_epoch=lambda row: reports.epoch("retrain", row),
        restart=restart,
    )
    reports.close()
    return final_result(
        retrained.metrics,
        settings,
        space,
        found.architecture,
        out,
        # Epochs' own clocks: a run that was cut short counts what it computed and not what it waited.
        search_seconds=sum(row["seconds"] for row in found.history),
        retrain_seconds=retrained.metrics["training"]["seconds"],
    )


def final_result(
    figures: Mapping[str, Any],
    settings: TrialSettings,
    space: SpaceConfig,
    architecture: Architecture | None,
    folder: Path,
    *,
    search_seconds: float,
    retrain_seconds: float,
) -> dict[str, Any]:
    """What NNI is told at the end of any trial: of a search, of a given architecture, of a study's cell.

    ``default``, which the tuner maximises, is the objective; unless the settings say otherwise that is the validation
    NDCG@10, in the ranking of ``select_by``, over the users whose validation targets trained no architecture parameter.
    Figures of the test set have keys of their own and decide nothing.

    ``architecture`` (the whole document on one line) and ``files_at`` (the machine and folder of the files) let
    ``easrec export`` do without the trial's folder, which stays on the worker.

    Parameters
    ----------
    figures
        ``test``, ``valid``, ``valid_selection_users``, ``cost``, ``dataset`` and, if measured, ``inference``, as in
        ``metrics.json``.
    settings, space
        The trial's.
    architecture
        The network's; None of a baseline that is no network.
    folder
        Where ``architecture.json`` and, after a search, ``supernet.safetensors`` are.
    search_seconds, retrain_seconds
        Time that both stages computed.
    """
    chosen = figures["valid_selection_users"]
    inference = {key: value for key, value in figures.get("inference", {}).items() if key == "inference_ms_per_user"}
    costs = {**figures["cost"], **inference}
    objective = Objective.of(settings, space)
    return {
        **objective.keys(chosen[settings.select_by], costs),
        "default_standard_error": chosen[f"{settings.select_by}_standard_error"],
        **{f"valid_{name}": value for name, value in figures["valid"].items()},
        **{f"test_{name}": value for name, value in {**figures["test"], **figures.get("test_refitted", {})}.items()},
        **costs,
        **(_network_keys(architecture, folder) if architecture is not None else {}),
        "seed": settings.seed,
        "dataset": figures["dataset"]["name"],
        "dataset_fingerprint": figures["dataset"]["fingerprint"],
        "search_seconds": search_seconds,
        "retrain_seconds": retrain_seconds,
    }


def _network_keys(architecture: Architecture, folder: Path) -> dict[str, Any]:
    choices = architecture.choices
    return {
        **choices.model_dump(mode="json"),
        "pruning": candidate_label(choices.hidden_pruning, choices.inner_pruning),
        **{f"entropy_{label}": entropy for label, entropy in architecture.entropies.items()},
        **({"decided": int(is_decided(architecture.entropies))} if architecture.entropies else {}),
        # Of an architecture that was given, nothing was traded off.
        **({} if architecture.lambda_ is None else {"lambda": architecture.lambda_}),
        "architecture": architecture.to_json(indent=None),
        "files_at": f"{socket.gethostname()}:{folder.resolve()}",
    }


def run_program(run: Callable[[dict[str, Any]], Any]) -> int:
    """Body of a trial's program: sampled parameters, threads and messages; returns the exit code.

    Parameters
    ----------
    run
        Does the work with the sampled hyper-parameters, and returns what is to be logged.
    """
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", stream=sys.stdout)
    # NNI interrupts a trial that its assessor or a user has ended. Lightning would make that an exit code, by which NNI
    # takes the trial for one that failed; it must die of the signal. What an epoch wrote is whole.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        # The parameters come first: without asking for them NNI takes the trial for one that never began.
        parameters = trial_parameters()
        check_direction(experiment_params())  # `nnictl create` does not, as `easrec launch` does
        from easrec_nni.training.threads import use_threads

        threads = use_threads(trial_threads())
        _logger.info("trial with %s on %d thread(s)", parameters or "the settings as they are", threads)
        _logger.info("done: %s", run(parameters))
    except UserError as error:
        # NNI shows the end of stderr as the reason why a trial failed.
        print(f"error: {error.message}", file=sys.stderr)
        return 2
    return 0


def main(arguments: list[str] | None = None) -> int:
    """Run as an NNI trial; return its exit code."""
    words = sys.argv[1:] if arguments is None else arguments
    pairs = words[3::2]
    if len(words) < 2 or len(words) % 2 or words[0] != "--settings" or any(word != "--set" for word in words[2::2]):
        print(
            "usage: python -m easrec_nni.trial --settings FILE [--set KEY=VALUE]...   (as trialCommand of an NNI "
            "experiment)",
            file=sys.stderr,
        )
        return 2

    def run(parameters: dict[str, Any]) -> dict[str, Any]:
        settings = TrialSettings.read(words[1]).with_parameters({**read_assignments(pairs), **parameters})
        out = output_dir("trial")
        out.mkdir(parents=True, exist_ok=True)
        return run_trial(settings, out).report

    return run_program(run)
