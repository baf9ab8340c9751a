"""The popularity baseline: the floor that any sequential recommender must be above."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from easrec_nni.data.dataset import Dataset
from easrec_nni.data.negatives import training_items

__all__ = ["Popularity", "training_counts"]


def training_counts(dataset: Dataset) -> NDArray[np.int64]:
    """Training interactions of each item: ``[n_items + 1]``, entry 0 (padding) is 0."""
    training = training_items(dataset.items, dataset.offsets, dataset.split)
    return np.bincount(training, minlength=dataset.n_items + 1).astype(np.int64)


class Popularity(nn.Module):
    """Scores every item by its number of training interactions, the same for all users."""

    scores: Tensor

    def __init__(self, dataset: Dataset) -> None:
        super().__init__()
        scores = torch.from_numpy(training_counts(dataset)).float()
        scores[0] = -torch.inf
        self.register_buffer("scores", scores)

    def forward(self, ids: Tensor) -> Tensor:
        """``[B, T]`` ids to ``[B, n_items + 1]`` scores."""
        return self.scores.expand(len(ids), -1)
