"""Counts of the interactions that a dataset is trained on."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from easrec_nni.data.dataset import Dataset
from easrec_nni.data.negatives import training_items

__all__ = ["training_counts"]


def training_counts(dataset: Dataset) -> NDArray[np.int64]:
    """Training interactions of each item: ``[n_items + 1]``, entry 0 (padding) is 0."""
    training = training_items(dataset.items, dataset.offsets, dataset.split)
    return np.bincount(training, minlength=dataset.n_items + 1).astype(np.int64)
