"""Settings whose value ``auto`` depends on the dataset."""

from __future__ import annotations

from typing import Any

from easrec_nni.architecture.training_settings import BatchSize
from easrec_nni.data.batches.modes import History, Mode
from easrec_nni.data.batches.padding import prefix_samples, windows
from easrec_nni.data.dataset import Dataset
from easrec_nni.settings.trial import TrialSettings

__all__ = ["TARGETS_PER_BATCH", "automatic_batch_size", "resolved", "suited_figure"]

TARGETS_PER_BATCH = 1024
"""Mean number of targets in a batch of the size ``auto``; in augmented mode, of samples."""


def suited_figure(dataset: Dataset) -> str:
    """Validation metric that suits a dataset: NDCG@10 in its ranking.

    See :attr:`~easrec_nni.data.dataset.Dataset.suited_ranking`.
    """
    return f"ndcg@10_{dataset.suited_ranking}"


def automatic_batch_size(dataset: Dataset, max_length: int, mode: Mode, history: History) -> int:
    """Number of sequences that have about :data:`TARGETS_PER_BATCH` targets.

    Targets are counted as by :class:`~easrec_nni.data.batches.training.TrainingBatches`: the interactions that the
    sequences predict. In masked mode all of them can be masked, so that its batches have as many sequences as those of
    the causal mode.

    Parameters
    ----------
    dataset
        Dataset with its training part.
    max_length
        Number N of interactions that the network sees.
    mode, history
        Training mode, and the part of the histories that it trains on.
    """
    if mode == "augmented":
        samples = prefix_samples(dataset, max_length)
    else:
        samples = windows(dataset, max_length, history)
    n_targets = int(samples.targets.sum())
    return max(1, round(TARGETS_PER_BATCH * len(samples.starts) / n_targets)) if n_targets else 1


def resolved(settings: TrialSettings, dataset: Dataset, max_length: int) -> TrialSettings:
    """Settings with every ``auto`` replaced by its value for a dataset.

    No other function decides them; :class:`~easrec_nni.training.context.TrialContext` holds only resolved settings.

    Parameters
    ----------
    settings
        Settings of a trial.
    dataset
        Dataset to train on.
    max_length
        Number N of interactions that the network sees.
    """
    changes: dict[str, Any] = {}
    if settings.select_by == "auto":
        changes["select_by"] = suited_figure(dataset)
    sizes: list[BatchSize] = [settings.search.batch_size, settings.retrain.batch_size]
    if "auto" in sizes:
        size = {"batch_size": automatic_batch_size(dataset, max_length, settings.mode, settings.history)}
        for stage, part in (("search", settings.search), ("retrain", settings.retrain)):
            if part.batch_size == "auto":
                changes[stage] = part.model_copy(update=size)
    return settings.model_copy(update=changes) if changes else settings
