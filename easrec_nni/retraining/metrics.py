"""``metrics.json``: figures of a retrained network."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from easrec_nni.architecture.cost import architecture_cost
from easrec_nni.architecture.document import Architecture
from easrec_nni.architecture.schema import DatasetIdentity
from easrec_nni.common.documents import Document, Number, ResultDocument, read_document
from easrec_nni.common.provenance import provenance
from easrec_nni.evaluation.final import final_evaluation
from easrec_nni.evaluation.inference import measure_inference
from easrec_nni.training.callbacks import BEFORE_TRAINING, EpochRecord
from easrec_nni.training.context import TrialContext
from search_spaces import EASRecNetwork

__all__ = ["METRICS_FILE", "RunMetrics", "RunTraining", "read_metrics", "run_metrics"]

METRICS_FILE = "metrics.json"


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


class RunMetrics(ResultDocument):
    """Contents of ``metrics.json``."""

    test: dict[str, float]
    valid: dict[str, float]
    valid_selection_users: dict[str, float]
    negatives_version: int = 1
    cost: dict[str, float]
    inference: dict[str, float] = {}
    training: RunTraining
    choices: dict[str, Number]
    dataset: DatasetIdentity | None = None
    settings: dict[str, Any] = {}


def read_metrics(folder: str | Path) -> RunMetrics:
    """Read ``metrics.json`` of a run folder.

    Raises
    ------
    UserError
        The file is missing or damaged.
    """
    return read_document(Path(folder) / METRICS_FILE, RunMetrics, "run the retraining again")


def run_metrics(
    context: TrialContext, architecture: Architecture, network: EASRecNetwork, training: RunTraining
) -> tuple[RunMetrics, dict[str, NDArray[np.int64]]]:
    """Evaluate a trained network: contents of ``metrics.json``, and the ranks of each protocol."""
    settings, dataset = context.settings, context.dataset
    figures, ranks = final_evaluation(network, dataset, settings.search.arch_share)
    metrics = RunMetrics(
        **figures,
        cost=architecture_cost(architecture.space, architecture.choices).as_dict(),
        inference=measure_inference(network, dataset),
        training=training,
        choices=architecture.choices.model_dump(mode="json"),
        dataset=DatasetIdentity.of(dataset),
        settings=settings.model_dump(mode="json", by_alias=True, exclude={"search", "space", "data"}),
        **provenance(),
    )
    return metrics, ranks
