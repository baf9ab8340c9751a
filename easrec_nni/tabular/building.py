"""``easrec table build``: train every architecture of a space from scratch, with several seeds."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from types import MappingProxyType
from typing import Any, NoReturn

from easrec_nni.architecture.cost import architecture_cost
from easrec_nni.architecture.schema import DatasetIdentity
from easrec_nni.common.errors import DivergedError, UserError
from easrec_nni.common.locks import LOCK_FILE, file_lock
from easrec_nni.common.readable import readable_seconds
from easrec_nni.common.run_files import WEIGHTS_FILE
from easrec_nni.data.dataset import Dataset
from easrec_nni.data.loading import load_dataset
from easrec_nni.retraining.metrics import RunMetrics, read_metrics
from easrec_nni.retraining.stage import retrain
from easrec_nni.settings.trial import TrialSettings
from easrec_nni.tabular.build_folder import BuildFolder, Run, open_build, without_search
from easrec_nni.tabular.collecting import collect
from easrec_nni.tabular.documents import TableDocument
from easrec_nni.tabular.merging import runs_in
from easrec_nni.tabular.order import training_order
from easrec_nni.training.context import TrialContext
from search_spaces import Choice, SpaceConfig

__all__ = ["Build", "build_settings", "remaining_seconds", "run_context", "train_run"]

_logger = logging.getLogger(__name__)


class _OutOfTime(Exception):
    """Raised after an epoch to end a run at the time limit; its checkpoint remains."""


class _InUse(Exception):
    """Raised for a run that another process trains."""


def build_settings(data: str, settings: TrialSettings) -> TrialSettings:
    """Settings of a build's runs: a settings file's for a dataset, with fresh weights and seed 0.

    Raises
    ------
    UserError
        The settings ask for a refit, whose figures a table does not have.
    """
    if settings.retrain.refit:
        raise UserError("a table compares validated runs: leave retrain.refit out of its settings")
    # Trials of NNI run in another working directory, where a relative path would not be found.
    data = str(Path(data).expanduser().resolve()) if os.sep in data else data
    changes = {"data": data, "retrain.weights": "scratch", "seed": 0}
    return without_search(settings.with_parameters(changes))


def run_context(build: BuildFolder, run: Run, dataset: Dataset) -> TrialContext:
    """Context of a run: the build's settings with its seed."""
    return TrialContext.open(build.settings.with_parameters({"seed": run.seed}), dataset)


def train_run(
    build: BuildFolder,
    run: Run,
    dataset: Dataset,
    *,
    keep_weights: bool = False,
    progress: bool = False,
    on_epoch: Callable[[dict[str, float]], None] | None = None,
) -> RunMetrics:
    """Train one run of a build, resume it, or return its figures.

    Figures, ranks and history stay; checkpoints are deleted once the run is complete.

    Parameters
    ----------
    build
        The build.
    run
        The run.
    dataset
        Dataset of the build.
    keep_weights
        Whether the weights of a complete run stay.
    progress, on_epoch
        Options of :func:`~easrec_nni.retraining.stage.retrain`.
    """
    folder = build.folder(run)
    if not build.is_complete(run):
        context = run_context(build, run, dataset)
        architecture = context.architecture(run.choice)
        retrain(architecture, dataset, folder, settings=context.settings, progress=progress, on_epoch=on_epoch)
    # Also after a kill between the end of a run and this.
    stale = [folder / "state" / "last.ckpt", folder / "state" / "best.safetensors"]
    for file in [*stale, *([] if keep_weights else [folder / WEIGHTS_FILE])]:
        file.unlink(missing_ok=True)
    return read_metrics(folder)


@dataclass(frozen=True)
class Build:
    """Build of an architecture table in this process.

    Attributes
    ----------
    folder
        Folder of the build.
    dataset
        Dataset of its runs.
    space
        Space of its architectures.
    known
        Runs of other tables, which are not trained again.
    """

    folder: BuildFolder
    dataset: Dataset
    space: SpaceConfig
    known: frozenset[Run] = frozenset()

    @classmethod
    def open(
        cls,
        data: str,
        settings: TrialSettings,
        seeds: int,
        out: Path,
        *,
        first_seed: int = 0,
        known: Mapping[str, TableDocument] = MappingProxyType({}),
    ) -> Build:
        """Create a build, or open it to go on.

        Parameters
        ----------
        data
            Name or path of a prepared dataset.
        settings
            Settings of its runs.
        seeds
            Number of seeds.
        out
            Folder of the build.
        first_seed
            The first seed; the others follow it.
        known
            Tables, by name, whose runs are not trained again.

        Raises
        ------
        UserError
            The settings or the dataset cannot be used, or the folder holds another build; nothing is written.
        """
        settings = build_settings(data, settings)
        dataset = load_dataset(settings.data)
        context = TrialContext.open(settings, dataset)
        runs = runs_in(known, DatasetIdentity.of(dataset), settings, context.space)
        return cls(open_build(out, dataset, settings, seeds, first_seed), dataset, context.space, runs)

    @property
    def runs(self) -> list[Run]:
        """All runs but the known ones, in the order of their training."""
        cost: Callable[[Choice], float] = lambda choice: architecture_cost(self.space, choice).madds_per_user  # noqa: E731
        return [run for run in self.folder.runs(training_order(self.space, cost)) if run not in self.known]

    @property
    def missing(self) -> list[Run]:
        """Runs without figures, in the order of their training."""
        return [run for run in self.runs if not self.folder.is_complete(run)]

    def train(
        self, table: Path, *, limit_minutes: float | None = None, keep_weights: bool = False, progress: bool = False
    ) -> list[Run]:
        """Train the missing runs one after the other, and write the table after each of them.

        Several processes may train the same build: each leaves out the runs that another one is training.

        Parameters
        ----------
        table
            File of the table.
        limit_minutes
            Time after which the build stops, at the end of an epoch; it can go on later.
        keep_weights
            Whether the weights of complete runs stay.
        progress
            Whether to show a progress bar for each run.

        Returns
        -------
        list
            Runs that are still without figures.
        """
        end = None if limit_minutes is None else time.monotonic() + 60 * limit_minutes
        runs = self.runs
        try:
            for number, run in enumerate(runs, start=1):
                if self.folder.is_complete(run):
                    continue
                _check_time(end)
                _logger.info("run %d of %d: %s", number, len(runs), run)
                self._train_one(run, table, end, keep_weights, progress)
                self._log_rest(runs)
        except _OutOfTime:
            _logger.info("stopped after %g minutes; the same command goes on", limit_minutes)
        if self._complete(runs):
            collect(self.folder, table, self.dataset)
        return self.missing

    def _train_one(self, run: Run, table: Path, end: float | None, keep_weights: bool, progress: bool) -> None:
        try:
            with file_lock(self.folder.folder(run) / LOCK_FILE, on_wait=_raise_in_use):
                train_run(
                    self.folder,
                    run,
                    self.dataset,
                    keep_weights=keep_weights,
                    progress=progress,
                    on_epoch=lambda row: _check_time(end),
                )
        except _InUse:
            _logger.info("%s: another process is training it", run)
        except DivergedError as error:
            _logger.warning("%s: %s", run, error.message)
        else:
            collect(self.folder, table, self.dataset)

    def _log_rest(self, runs: Sequence[Run]) -> None:
        """Log the number of complete runs and the estimated time of the others."""
        seconds = {run: read_metrics(self.folder.folder(run)).training.seconds for run in self._complete(runs)}
        left = remaining_seconds(seconds, [run for run in runs if run not in seconds])
        if left is not None:
            _logger.info("%d of %d runs complete, about %s left", len(seconds), len(runs), readable_seconds(left))

    def _complete(self, runs: Sequence[Run]) -> list[Run]:
        return [run for run in runs if self.folder.is_complete(run)]


def remaining_seconds(seconds: dict[Run, float], missing: Sequence[Run]) -> float | None:
    """Estimated time of the missing runs in seconds; None before the first complete run.

    A run takes as long as those of its architecture with other seeds, or as the mean run.

    Parameters
    ----------
    seconds
        Training time of each complete run.
    missing
        Runs to estimate.

    Examples
    --------
    >>> small, large = (Choice(hidden_pruning=ratio, inner_pruning=0, depth=1) for ratio in (0.5, 0))
    >>> remaining_seconds({Run(small, 0): 10.0, Run(large, 0): 30.0}, [Run(small, 1), Run(small, 2)])
    20.0
    """
    if not seconds:
        return None
    mean = fmean(seconds.values())
    by_choice: dict[Choice, list[float]] = {}
    for run, value in seconds.items():
        by_choice.setdefault(run.choice, []).append(value)
    return sum(fmean(by_choice.get(run.choice, [mean])) for run in missing)


def _check_time(end: float | None) -> None:
    if end is not None and time.monotonic() >= end:
        raise _OutOfTime


def _raise_in_use(lock: Any) -> NoReturn:
    raise _InUse
