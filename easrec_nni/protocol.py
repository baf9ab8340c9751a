"""What all systems get alike: who trains, who selects, in which batches, and the figure that selects.

A search and a retraining, of whatever system, take their batches from here alone.
"""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from easrec_nni.batches import EvaluationBatches, TrainingBatches
from easrec_nni.data.dataset import Dataset
from easrec_nni.data.split import split_validation_users
from easrec_nni.evaluation import evaluation_batch_size
from easrec_nni.masked_batches import MaskedBatches
from easrec_nni.settings import TrialSettings

__all__ = ["MONITOR", "masking_request", "selection_batches", "training_batches", "validation_rows"]

MONITOR = "ndcg@10_full"
"""Figure of the selecting users that decides: best epoch of a search, best epoch of a retraining, best trial."""

# One partition for all runs on a dataset, so that all are selected by the same users.
PARTITION_SEED = 0


def validation_rows(dataset: Dataset, arch_share: float) -> tuple[NDArray[Any], NDArray[Any]]:
    """Evaluated users in two disjoint parts: those whose validation targets train alpha and beta, and the rest.

    The rest alone selects: the best epoch of a search, the best epoch of a retraining, and what a tuner is told.
    """
    return split_validation_users(len(dataset.split.eval_users), arch_share, PARTITION_SEED)


def training_batches(dataset: Dataset, settings: TrialSettings, max_length: int, batch_size: int) -> TrainingBatches:
    """Training batches in the settings' mode and order."""
    newest_only = settings.history == "newest"
    if settings.mode == "masked":
        masking = settings.masking.model_dump()
        return MaskedBatches(dataset, max_length, batch_size, settings.seed, newest_only, **masking)
    return TrainingBatches(dataset, max_length, batch_size, settings.mode, settings.seed, newest_only)


def masking_request(settings: TrialSettings) -> dict[str, Any]:
    """What a run's folder notes of the masks; nothing in other modes, which do not depend on them."""
    return {"masking": settings.masking.model_dump(mode="json")} if settings.mode == "masked" else {}


def selection_batches(dataset: Dataset, settings: TrialSettings, max_length: int) -> EvaluationBatches:
    """Validation users that select, with their histories."""
    _, rows = validation_rows(dataset, settings.search.arch_share)
    return EvaluationBatches(dataset, "valid", max_length, evaluation_batch_size(dataset.n_items), rows)
