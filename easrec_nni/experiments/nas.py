"""``easrec nas``: architectures of the space, drawn by a multi-trial strategy, as trials of an NNI experiment."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from nni.experiment import launcher

from easrec_nni.common.errors import UserError
from easrec_nni.data.loading import load_dataset
from easrec_nni.experiments.experiment import Experiment, Trial
from easrec_nni.experiments.manager import DEFAULT_PORT, free_port, manager_environment, stop_experiment
from easrec_nni.experiments.nnictl import wait_for_manager
from easrec_nni.experiments.records import find_experiment, list_trials
from easrec_nni.settings.trial import TrialSettings
from easrec_nni.training.context import TrialContext
from easrec_nni.trial.nas import nas_experiment
from strategies import MULTI_TRIAL_STRATEGIES

__all__ = ["search_architectures"]


def search_architectures(
    settings: TrialSettings,
    strategy: str,
    trials: int,
    *,
    concurrency: int = 1,
    port: int = DEFAULT_PORT,
    expose: bool = False,
    folder: str | Path = ".",
    say: Callable[[str], None] = lambda line: None,
) -> tuple[Experiment, list[Trial]]:
    """Let a strategy draw architectures, each of which NNI trains as a trial; return when all have ended.

    Parameters
    ----------
    settings
        Space, retraining, seed and objective. Every architecture is trained from fresh weights with the retraining's
        settings; the strategy, whose random numbers come from the seed, maximises the objective.
    strategy
        ``random``, ``evolution`` or ``tpe``.
    trials
        Architectures at most; a strategy that finds no new one ends before.
    concurrency
        Trials at a time, which share the cores.
    port
        Wanted port of the web UI; the next free one is taken.
    expose
        Whether other machines can reach the web UI, which has no password and can start commands.
    folder
        Where trials start.
    say
        Called with a line to show.

    Raises
    ------
    UserError
        The settings do not fit, or there is no free port.
    KeyboardInterrupt
        It was interrupted; no process is left, and finished trials stay in NNI's records.
    """
    context = _checked(settings, strategy)
    with _in(Path(folder)), _manager_settings(expose):
        name = f"easrec-{strategy}-{settings.data.rpartition('/')[2]}"
        experiment = nas_experiment(context, strategy, trials, concurrency, name)
        chosen = free_port(port)
        say(f"experiment {experiment.id} runs, its web UI: http://127.0.0.1:{chosen}")
        try:
            experiment.run(chosen)
        finally:
            found = Experiment(experiment.id, name, Path(experiment.config.experiment_working_directory), chosen, True)
            stop_experiment(found)
    known = find_experiment(experiment.id)
    return known, list_trials(known)


def _checked(settings: TrialSettings, strategy: str) -> TrialContext:
    """Context of the trials, with a dataset that is found from anywhere."""
    if strategy not in MULTI_TRIAL_STRATEGIES:
        raise UserError(f"there is no strategy {strategy!r}; choose from {', '.join(MULTI_TRIAL_STRATEGIES)}")
    context = TrialContext.open(settings, load_dataset(settings.data))
    if context.space.is_fixed:
        raise UserError("the space has one architecture: give it several pruning ratios or depths")
    return replace(context, settings=settings.with_parameters({"data": str(context.dataset.path.resolve())}))


@contextmanager
def _in(folder: Path) -> Iterator[None]:
    """NNI insists that trials start where the experiment was started."""
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


@contextmanager
def _manager_settings(expose: bool) -> Iterator[None]:
    """The manager as `easrec launch` starts it: on this machine only, with the time it needs to start."""
    before, check = dict(os.environ), launcher._check_rest_server
    os.environ.update(manager_environment(expose))
    launcher._check_rest_server = wait_for_manager
    try:
        yield
    finally:
        launcher._check_rest_server = check
        os.environ.clear()
        os.environ.update(before)
