"""A process's share of every batch."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from torch import Tensor

from easrec_nni.data.batches.training import TrainingBatch

__all__ = ["ShareOfBatches"]


class ShareOfBatches:
    """Every n-th sequence of each batch, with the weight that makes the processes' mean loss the whole batch's.

    All processes make the whole batch, which is a function of (seed, epoch) and cheap, and take sequences in turn:
    sequences of a batch lie sorted by length, so that all get about as much work. A loss is the mean over a share's
    targets; times ``targets of the share · processes / targets of the batch`` its mean over the processes is the mean
    over all targets, however they are divided. Where there are fewer sequences than processes, those without one
    compute the batch's first with a weight of zero, so that all have the same gradients to average.

    Parameters
    ----------
    batches
        Batches with ``set_epoch``.
    rank, count
        Which process takes its share, and how many there are.
    """

    def __init__(self, batches: Any, rank: int, count: int) -> None:
        self.batches, self.rank, self.count = batches, rank, count

    def set_epoch(self, epoch: int) -> None:
        """Fix the order of the next iteration."""
        self.batches.set_epoch(epoch)

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[TrainingBatch]:
        for batch in self.batches:
            if self.rank < len(batch.ids):
                mine = slice(self.rank, None, self.count)
                ids, targets = batch.ids[mine], batch.targets[mine]
                weight = _targets(targets) * self.count / _targets(batch.targets)
            else:
                ids, targets, weight = batch.ids[:1], batch.targets[:1], 0.0
            yield batch._replace(ids=ids, targets=targets, weight=weight)


def _targets(targets: Tensor) -> int:
    return int(targets.count_nonzero())
