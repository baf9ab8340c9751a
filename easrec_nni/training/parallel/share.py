"""Share of each batch for one process of a data-parallel run."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from torch import Tensor

from easrec_nni.data.batches.training import TrainingBatch

__all__ = ["ShareOfBatches"]


class ShareOfBatches:
    """Every n-th sequence of each batch, weighted so that losses average to the batch's loss.

    All processes build the whole batch, which depends only on (seed, epoch) and is cheap, and take every n-th sequence:
    sequences are sorted by length, so the work is balanced. A loss is the mean over a share's targets; weighted by
    ``targets of the share · processes / targets of the batch``, its mean over the processes is the mean over all
    targets, however they are divided. If a batch has fewer sequences than processes, those without one compute the
    batch's first with weight zero, so that all have the same gradients to average.

    Parameters
    ----------
    batches
        Batches with ``set_epoch``.
    rank, count
        Rank of the process, and number of processes.
    """

    def __init__(self, batches: Any, rank: int, count: int) -> None:
        self.batches, self.rank, self.count = batches, rank, count

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch, which determines the order of the next iteration."""
        self.batches.set_epoch(epoch)

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[TrainingBatch]:
        for batch in self.batches:
            if self.rank < len(batch.ids):
                share = batch.of_rows(slice(self.rank, None, self.count))
                weight = _count_targets(share.targets) * self.count / _count_targets(batch.targets)
            else:
                share, weight = batch.of_rows(slice(0, 1)), 0.0
            yield share._replace(weight=weight)


def _count_targets(targets: Tensor) -> int:
    return int(targets.count_nonzero())
