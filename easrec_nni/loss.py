"""Next-item loss (Eq. 12 to 14)."""

from __future__ import annotations

from typing import Any

import torch.nn.functional as F
from torch import Tensor

from easrec_nni.batches import TrainingBatch

__all__ = ["next_item_loss"]


def next_item_loss(network: Any, batch: TrainingBatch) -> Tensor:
    """Softmax cross entropy over all items (Eq. 13), averaged over the positions that have a target.

    Eq. 14 prints binary cross entropy without its sign; the model of Eq. 13 is a softmax.

    Parameters
    ----------
    network
        A :class:`~search_spaces.EASRecSpace`, soft or frozen.
    batch
        With targets ``[B, T]`` for a loss at every position, ``[B]`` for one at the newest.
    """
    if batch.targets.dim() == 1:
        states, targets = network.newest_state(batch.ids), batch.targets
    else:
        real = batch.targets != 0
        states, targets = network.states(batch.ids)[real], batch.targets[real]  # [positions, d]
    # Padding has no vector: left out instead of masked, and so nothing is computed for it.
    return F.cross_entropy(states @ network.item_vectors().T, targets - 1)
