"""Next-item loss of a batch: selects the states with a target and applies the loss."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from easrec_nni.data.batches.training import TrainingBatch
from easrec_nni.training.losses.base import ItemLoss
from easrec_nni.training.losses.distillation import Distilled
from easrec_nni.training.losses.softmax import Softmax

__all__ = ["next_item_loss", "states_with_targets"]


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
    states, targets = states_with_targets(network, batch)
    if isinstance(loss, Distilled):
        mean = loss(network, states, targets, batch.negatives, places_with_targets(batch))
    else:
        mean = loss(network, states, targets, batch.negatives)
    return mean if batch.weight == 1 else batch.weight * mean


def states_with_targets(network: Any, batch: TrainingBatch) -> tuple[Tensor, Tensor]:
    """States ``[positions, d]`` of the positions of a batch that have a target, and the targets ``[positions]``.

    Other positions are dropped instead of masked, so nothing is computed for them.
    """
    if batch.targets.dim() == 1:
        return network.newest_state(batch.ids), batch.targets
    real = batch.targets != 0
    return network.states(batch.ids)[real], batch.targets[real]


def places_with_targets(batch: TrainingBatch) -> Tensor | None:
    """Places in the log of the targets of :func:`states_with_targets`, ``[positions]``; None without places."""
    if batch.places is None or batch.targets.dim() == 1:
        return batch.places
    return batch.places[batch.targets != 0]
