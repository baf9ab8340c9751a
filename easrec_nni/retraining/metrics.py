"""``metrics.json``: figures of a retrained network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import AfterValidator

from easrec_nni.architecture.document import Architecture
from easrec_nni.architecture.schema import DatasetIdentity
from easrec_nni.architecture.training_settings import TeacherRecord
from easrec_nni.common.documents import Document, Number, ResultDocument, read_document
from easrec_nni.common.errors import UserError
from easrec_nni.common.provenance import provenance
from easrec_nni.common.run_files import METRICS_FILE, RETRAINED_FOLDER
from easrec_nni.evaluation.figures import check_kind
from easrec_nni.evaluation.final import final_evaluation
from easrec_nni.evaluation.inference import measure_inference
from easrec_nni.training.callbacks import BEFORE_TRAINING, EpochRecord
from easrec_nni.training.context import TrialContext
from search_spaces import EASRecNetwork

__all__ = [
    "RefitMetrics",
    "RefitTraining",
    "RunMetrics",
    "RunTraining",
    "metrics_without_figures",
    "read_metrics",
    "run_metrics",
    "validated_epochs",
]


ValidatedFigures = Annotated[dict[str, float], AfterValidator(partial(check_kind, refitted=False))]
RefittedFigures = Annotated[dict[str, float], AfterValidator(partial(check_kind, refitted=True))]


class RunTraining(Document):
    """``training`` section of ``metrics.json``."""

    epochs: int
    best_epoch: int
    seconds: float
    threads: int | None = None
    weights: str | None = None
    kept: str | None = None
    micro_batch: dict[str, Number | str | dict[str, float]] = {}
    selected_by: str | None = None
    trained_on: str | None = None
    teacher: TeacherRecord | None = None

    @classmethod
    def of(cls, record: EpochRecord, *, inherited: bool, micro_batch: dict[str, Any], selected_by: str) -> RunTraining:
        """Section of a finished training.

        Parameters
        ----------
        record
            Epochs of the training.
        inherited
            Whether the training began with a supernet's weights.
        micro_batch
            Micro-batch sizes (:meth:`~easrec_nni.training.micro_batch_size.MicroBatchSize.as_dict`).
        selected_by
            Users that selected the best epoch.
        """
        initial_weights = "inherited" if inherited else "scratch"
        return cls(
            epochs=sum(row["epoch"] != BEFORE_TRAINING for row in record.history),
            best_epoch=record.best_epoch,
            seconds=sum(row["seconds"] for row in record.history),
            threads=torch.get_num_threads(),
            weights=initial_weights,
            kept=initial_weights if record.best_epoch == BEFORE_TRAINING else "trained",
            micro_batch=micro_batch,
            selected_by=selected_by,
        )

    @classmethod
    def of_all_data(cls, history: Sequence[Mapping[str, float]], inherited: bool) -> RunTraining:
        """Section of a training on all interactions, whose last epoch is taken.

        Parameters
        ----------
        history
            Rows of the epochs.
        inherited
            Whether the training began with a supernet's weights.
        """
        return cls(
            epochs=len(history),
            best_epoch=len(history) - 1,
            seconds=sum(row["seconds"] for row in history),
            threads=torch.get_num_threads(),
            weights="inherited" if inherited else "scratch",
            kept="trained",
            trained_on="all interactions, those of validation and test too",
        )


class RefitTraining(Document):
    """``refit`` section of ``metrics.json``."""

    epochs: int
    seconds: float


class RefitMetrics(Document):
    """``metrics.json`` of a refit; the validated run's ``metrics.json`` has the same keys."""

    test_refitted: RefittedFigures
    refit: RefitTraining


class RunMetrics(ResultDocument):
    """Contents of ``metrics.json``."""

    test: ValidatedFigures
    valid: ValidatedFigures
    valid_selection_users: dict[str, float]
    negatives_version: int = 1
    cost: dict[str, float]
    inference: dict[str, float] = {}
    training: RunTraining
    choices: dict[str, Number]
    dataset: DatasetIdentity | None = None
    settings: dict[str, Any] = {}
    test_refitted: RefittedFigures = {}
    refit: RefitTraining | None = None


def read_metrics(folder: str | Path) -> RunMetrics:
    """Read ``metrics.json`` of a run folder.

    Raises
    ------
    UserError
        The file is missing or damaged.
    """
    return read_document(
        Path(folder) / METRICS_FILE, RunMetrics, "give the folder of a finished retraining, or run it again"
    )


def run_metrics(
    context: TrialContext, architecture: Architecture, network: EASRecNetwork, training: RunTraining
) -> tuple[RunMetrics, dict[str, NDArray[np.int64]]]:
    """Evaluate a trained network: contents of ``metrics.json``, and the ranks of each protocol."""
    settings, dataset = context.settings, context.dataset
    figures, ranks = final_evaluation(network, dataset, settings.search.arch_share, settings.select_by)
    metrics = RunMetrics(
        **figures,
        cost=context.cost(architecture.choices).as_dict(),
        inference=measure_inference(network, dataset),
        training=training,
        choices=architecture.choices.model_dump(mode="json"),
        dataset=DatasetIdentity.of(dataset),
        settings=settings.model_dump(mode="json", by_alias=True, exclude={"search", "space", "data"}),
        **provenance(),
    )
    return metrics, ranks


def metrics_without_figures(context: TrialContext, architecture: Architecture, training: RunTraining) -> RunMetrics:
    """Contents of ``metrics.json`` after a training on all data, which leaves no data to evaluate on."""
    return RunMetrics(
        test={},
        valid={},
        valid_selection_users={},
        cost=context.cost(architecture.choices).as_dict(),
        training=training,
        choices=architecture.choices.model_dump(mode="json"),
        dataset=DatasetIdentity.of(context.dataset),
        settings=context.settings.model_dump(mode="json", by_alias=True, exclude={"search", "space", "data"}),
        **provenance(),
    )


def validated_epochs(run: str | Path | None, inherited: bool) -> int:
    """Number of training epochs of a validated run's best network.

    Parameters
    ----------
    run
        Folder of a retraining, or of a search with the retraining in ``retrained``.
    inherited
        Whether the new training begins with a supernet's weights.

    Raises
    ------
    UserError
        There is no such run, its initial weights are of the other kind, or no epoch improved on them.
    """
    advice = "give its folder (--validated FOLDER), or a number (--epochs N)"
    if run is not None and (Path(run) / RETRAINED_FOLDER / METRICS_FILE).is_file():
        run = Path(run) / RETRAINED_FOLDER
    if run is None or not (Path(run) / METRICS_FILE).is_file():
        raise UserError(
            f"a training on all data takes its number of epochs from a validated run, and {run or 'none'} is no such "
            f"folder: {advice}"
        )
    training = read_metrics(run).training
    if training.trained_on is not None:
        raise UserError(f"{run} was trained on all data itself, so that it tells no number of epochs: {advice}")
    if (training.weights == "inherited") != inherited:
        begun = "--weights SUPERNET" if training.weights == "inherited" else "--scratch"
        raise UserError(f"{run} began with {begun}, which its number of epochs belongs to: give {begun}, or --epochs N")
    if training.best_epoch < 0:
        raise UserError(f"no epoch of {run} was better than the network that it began with: give --epochs N")
    return training.best_epoch + 1
