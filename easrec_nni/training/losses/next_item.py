"""Next-item loss of a batch: selects the states with a target and applies the loss."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from easrec_nni.data.batches.training import TrainingBatch
from easrec_nni.training.losses.base import ItemLoss
from easrec_nni.training.losses.distillation import Distilled
from easrec_nni.training.losses.softmax import Softmax

__all__ = ["next_item_loss"]


def next_item_loss(network: Any, batch: TrainingBatch, loss: ItemLoss | None = None) -> Tensor:
    """Mean loss over the positions of a batch that have a target, times the batch's weight.

    Parameters
    ----------
    network
        Network: a :class:`~search_spaces.EASRecSpace`, soft or frozen.
    batch
        Batch with targets ``[B, T]`` for a loss at every (or every masked) position, ``[B]`` for the newest only.
    loss
        Loss to average; softmax cross entropy over all items (Eq. 13) by default. Eq. 14 prints binary cross
        entropy without its sign; the model of Eq. 13 is a softmax.
    """
    if loss is None:
        loss = Softmax(network.config.n_items)
    places = batch.places
    if batch.targets.dim() == 1:
        states, targets = network.newest_state(batch.ids), batch.targets
    else:
        real = batch.targets != 0
        states, targets = network.states(batch.ids)[real], batch.targets[real]  # [positions, d]
        places = None if places is None else places[real]
    # Padding positions are dropped instead of masked, so nothing is computed for them.
    if isinstance(loss, Distilled):
        mean = loss(network, states, targets, batch.negatives, places)
    else:
        mean = loss(network, states, targets, batch.negatives)
    return mean if batch.weight == 1 else batch.weight * mean
