"""Stages of a trial: search, choice of the weights to inherit, retraining, judgement against the unpruned network."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from easrec_nni.architecture.document import Architecture
from easrec_nni.common.run_files import RETRAINED_FOLDER
from easrec_nni.retraining.judgement import RunJudgement, judge_run
from easrec_nni.retraining.stage import Retrained, retrain
from easrec_nni.retraining.teacher.opening import open_teacher
from easrec_nni.searching.stage import SearchResult, run_search
from easrec_nni.training.context import TrialContext
from easrec_nni.training.history import replay_history
from easrec_nni.trial.unpruned import train_unpruned

__all__ = ["EpochReport", "StageResults", "run_stages"]

EpochReport = Callable[[str, dict[str, float]], None]
"""Callback with a stage (``search``, ``retrain``) and the row of one of its epochs."""


@dataclass(frozen=True)
class StageResults:
    """Results of a trial's stages.

    Attributes
    ----------
    architecture
        The architecture that was searched or given.
    search
        Result of the search; None for a given architecture.
    retrained
        Trained network and its figures.
    judgement
        Judgement against the unpruned network, if the settings ask for it.
    """

    architecture: Architecture
    search: SearchResult | None
    retrained: Retrained
    judgement: RunJudgement | None = None

    @property
    def search_seconds(self) -> float:
        """Computing time of the search in seconds, summed over its epochs."""
        return sum(row["seconds"] for row in self.search.history) if self.search is not None else 0.0

    @property
    def retrain_seconds(self) -> float:
        """Computing time of the retraining in seconds, summed over its epochs."""
        return self.retrained.figures.training.seconds


def run_stages(
    context: TrialContext,
    folder: Path,
    on_epoch: EpochReport | None = None,
    *,
    architecture: Architecture | None = None,
    search_folder: Path | None = None,
    unpruned_root: Path | None = None,
    on_architecture: Callable[[Architecture, SearchResult | None], None] | None = None,
    progress: bool = False,
    restart: bool = False,
) -> StageResults:
    """Search unless an architecture is given, retrain, judge; interrupted stages are resumed.

    Parameters
    ----------
    context
        Settings, dataset and space.
    folder
        Folder of the trial; the retraining is in ``retrained``.
    on_epoch
        Called with the stage and the row of every epoch, beginning with those of earlier processes.
    architecture
        Architecture to retrain without a search.
    search_folder
        Folder of the search, other than ``folder``.
    unpruned_root
        Folder of the unpruned networks' runs; None for no judgement, whatever the settings say.
    on_architecture
        Called between the stages with the architecture and the result of its search, if there was one.
    progress
        Whether to draw a progress bar.
    restart
        Whether to start over in a folder that holds another run.
    """
    report = on_epoch or (lambda stage, row: None)
    searched: SearchResult | None = None
    if architecture is None:
        if (teacher := context.settings.retrain.teacher) is not None:
            open_teacher(teacher)  # a wrong path is an error before the search, not after it
        searching = search_folder or folder
        if not restart:
            replay_history(report, search=searching)
        searched = run_search(
            context, searching, progress=progress, on_epoch=lambda row: report("search", row), restart=restart
        )
        architecture = searched.architecture
    if on_architecture is not None:
        on_architecture(architecture, searched)
    if not restart:
        replay_history(report, retrain=folder / RETRAINED_FOLDER)
    inherits = context.settings.retrain.weights == "inherit"
    retrained = retrain(
        architecture,
        context.dataset,
        folder / RETRAINED_FOLDER,
        weights=searched.supernet if searched is not None and inherits else None,
        settings=context.settings.with_parameters({}),  # every key set explicitly: none comes from the architecture
        progress=progress,
        on_epoch=lambda row: report("retrain", row),
        restart=restart,
    )
    judgement = None
    if context.settings.judge.unpruned and unpruned_root is not None:
        unpruned = train_unpruned(context, unpruned_root, progress=progress)
        judgement = judge_run(retrained.folder, unpruned, context.dataset, context.settings.judge.margin)
    return StageResults(architecture, searched, retrained, judgement)
