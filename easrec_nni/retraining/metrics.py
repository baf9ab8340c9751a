"""``metrics.json``: figures of a retrained network, made and read."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from easrec_nni.architecture.cost import architecture_cost
from easrec_nni.architecture.document import Architecture, DatasetReference
from easrec_nni.common.errors import UserError
from easrec_nni.common.files import read_json
from easrec_nni.common.provenance import provenance
from easrec_nni.data.dataset import Dataset
from easrec_nni.evaluation.final import final_evaluation
from easrec_nni.evaluation.inference import measure_inference
from easrec_nni.settings.trial import TrialSettings
from easrec_nni.training.callbacks import BEFORE_TRAINING, EpochRecord
from search_spaces import EASRecSpace

__all__ = ["metrics_without_figures", "read_metrics", "run_metrics", "validated_epochs"]


_logger = logging.getLogger(__name__)

METRIC_PARTS = ("test", "valid", "valid_selection_users", "cost", "training", "choices")


def read_metrics(folder: str | Path) -> dict[str, Any]:
    """Figures that a retraining wrote.

    Raises
    ------
    UserError
        There are none, or the file is damaged.
    """
    file = Path(folder) / "metrics.json"
    try:
        metrics = dict(read_json(file))
        if all(isinstance(metrics.get(part), dict) for part in METRIC_PARTS):
            return metrics
    except (OSError, ValueError, TypeError):
        pass
    raise UserError(f"there is no readable {file}: run the retraining again")


def run_metrics(
    architecture: Architecture,
    network: EASRecSpace,
    dataset: Dataset,
    settings: TrialSettings,
    record: EpochRecord,
    inherited: bool,
) -> tuple[dict[str, Any], dict[str, NDArray[np.int64]]]:
    """Contents of ``metrics.json`` but for the run's own notes, and the ranks of each protocol."""
    figures, ranks = final_evaluation(network, dataset, settings.search.arch_share, settings.select_by)
    begun_from = "inherited" if inherited else "scratch"
    if record.best_epoch == BEFORE_TRAINING:
        _logger.info(
            "no epoch raised %s above %.4f: the network from %s weights is kept as it was before the training",
            settings.select_by,
            record.best_score,
            begun_from,
        )
    metrics = {
        **figures,
        "cost": architecture_cost(architecture.space, architecture.choices).as_dict(),
        "inference": measure_inference(network, dataset),
        "training": {
            "epochs": sum(row["epoch"] != BEFORE_TRAINING for row in record.history),
            "best_epoch": record.best_epoch,
            "seconds": sum(row["seconds"] for row in record.history),
            "threads": torch.get_num_threads(),
            "weights": begun_from,
            "kept": begun_from if record.best_epoch == BEFORE_TRAINING else "trained",
        },
        "choices": architecture.choices.model_dump(mode="json"),
        "dataset": DatasetReference.of(dataset).model_dump(),
        "settings": settings.model_dump(mode="json", by_alias=True, exclude={"search", "space", "data"}),
        **provenance(),
    }
    return metrics, ranks


def validated_epochs(run: str | Path | None, inherited: bool) -> int:
    """Epochs behind the best network of a validated run.

    Parameters
    ----------
    run
        Folder of a retraining.
    inherited
        Whether the training that is to last as long begins from a supernet's weights.

    Raises
    ------
    UserError
        There is no such run, it began otherwise, or no epoch of it was better than its beginning.
    """
    advice = "give its folder (--validated FOLDER), or a number (--epochs N)"
    if run is None or not (Path(run) / "metrics.json").is_file():
        raise UserError(
            f"a training on all data takes its number of epochs from a validated run, and {run or 'none'} is no such "
            f"folder: {advice}"
        )
    training = read_metrics(run)["training"]
    if not isinstance(training.get("best_epoch"), int):
        raise UserError(f"{run} was trained on all data itself, so that it tells no number of epochs: {advice}")
    if (training.get("weights") == "inherited") != inherited:
        begun = "--weights SUPERNET" if training.get("weights") == "inherited" else "--scratch"
        raise UserError(f"{run} began with {begun}, which its number of epochs belongs to: give {begun}, or --epochs N")
    if training["best_epoch"] < 0:
        raise UserError(f"no epoch of {run} was better than the network that it began with: give --epochs N")
    return int(training["best_epoch"]) + 1


def metrics_without_figures(
    architecture: Architecture,
    dataset: Dataset,
    settings: TrialSettings,
    history: list[dict[str, float]],
    inherited: bool,
) -> dict[str, Any]:
    """Contents of ``metrics.json`` of a network that was trained on all data: nothing is left to measure it by."""
    return {
        "test": {},
        "valid": {},
        "valid_selection_users": {},
        "cost": architecture_cost(architecture.space, architecture.choices).as_dict(),
        "training": {
            "trained_on": "all interactions, those of validation and test too",
            "epochs": len(history),
            "seconds": sum(row["seconds"] for row in history),
            "threads": torch.get_num_threads(),
            "weights": "inherited" if inherited else "scratch",
        },
        "choices": architecture.choices.model_dump(mode="json"),
        "dataset": DatasetReference.of(dataset).model_dump(),
        "settings": settings.model_dump(mode="json", by_alias=True, exclude={"search", "space", "data"}),
        **provenance(),
    }
