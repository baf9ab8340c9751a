"""``easrec nas``: a multi-trial strategy's architectures as trials of an NNI experiment."""

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
    """Run a multi-trial strategy whose architectures NNI trains as trials, to the end.

    Parameters
    ----------
    settings
        Settings of space, retraining, seed and objective. Every architecture is trained from fresh weights with the
        retraining's settings; the strategy, seeded with the seed, maximises the objective.
    strategy
        ``random``, ``evolution`` or ``tpe``.
    trials
        Largest number of architectures; a strategy without a new one ends earlier.
    concurrency
        Number of trials at a time, which share the cores.
    port
        Preferred port of the web UI; the next free one is used.
    expose
        Whether other machines can reach the web UI, which has no password and can run commands.
    folder
        Folder in which trials start.
    say
        Called with a line to print.

    Raises
    ------
    UserError
        The settings are invalid, or there is no free port.
    KeyboardInterrupt
        The user interrupted it; no process is left, and finished trials stay in NNI's records.
    """
    context = _trial_context(settings, strategy)
    with _working_directory(Path(folder)), _manager_settings(expose):
        name = f"easrec-{strategy}-{settings.data.rpartition('/')[2]}"
        experiment = nas_experiment(context, strategy, trials, concurrency, name)
        free = free_port(port)
        say(f"experiment {experiment.id} runs, its web UI: http://127.0.0.1:{free}")
        try:
            experiment.run(free)
        finally:
            working_directory = Path(experiment.config.experiment_working_directory)
            stop_experiment(Experiment(experiment.id, name, working_directory, free, running=True))
    finished = find_experiment(experiment.id)
    return finished, list_trials(finished)


def _trial_context(settings: TrialSettings, strategy: str) -> TrialContext:
    """Context of the trials, with an absolute path of the dataset."""
    if strategy not in MULTI_TRIAL_STRATEGIES:
        raise UserError(f"there is no strategy {strategy!r}; choose from {', '.join(MULTI_TRIAL_STRATEGIES)}")
    if settings.search.budget is not None:
        raise UserError(
            "easrec nas trains every architecture that its strategy draws, whatever search.budget says: remove it and "
            "set objective.kind=ceiling with objective.ceiling, or keep it and run `easrec search --set "
            f"search.strategy={strategy}`"
        )
    context = TrialContext.open(settings, load_dataset(settings.data))
    if context.space.is_fixed:
        raise UserError("the space has one architecture: give it several pruning ratios or depths")
    return replace(context, settings=settings.with_parameters({"data": str(context.dataset.path.resolve())}))


@contextmanager
def _working_directory(folder: Path) -> Iterator[None]:
    """Change the working directory for the block: NNI starts trials in the experiment's."""
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


@contextmanager
def _manager_settings(expose: bool) -> Iterator[None]:
    """Start NNI's manager as `easrec launch` does: on loopback, with enough time to start."""
    before, check = dict(os.environ), launcher._check_rest_server
    os.environ.update(manager_environment(expose))
    launcher._check_rest_server = wait_for_manager
    try:
        yield
    finally:
        launcher._check_rest_server = check
        os.environ.clear()
        os.environ.update(before)
