"""Popularity: a training-free baseline."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from easrec_nni.data.dataset import Dataset

__all__ = ["Popularity"]


class Popularity(nn.Module):
    """Scores items by their number of training interactions, the same for all users."""

    scores: Tensor

    def __init__(self, dataset: Dataset) -> None:
        super().__init__()
        scores = torch.from_numpy(dataset.training_counts).float()
        scores[0] = -torch.inf
        self.register_buffer("scores", scores)

    def forward(self, ids: Tensor) -> Tensor:
        """``[B, T]`` ids to ``[B, n_items + 1]`` scores."""
        return self.scores.expand(len(ids), -1)
