"""Timer of training iterations, and epochs cut short."""

from __future__ import annotations

import time
from collections.abc import Iterator
from itertools import islice, pairwise
from typing import Any

from pytorch_lightning import Callback

__all__ = ["IterationTimer", "FirstBatches"]


class FirstBatches:
    """The first batches of every epoch.

    Parameters
    ----------
    batches
        Training or evaluation batches.
    count
        Number of batches to return; all, if there are fewer.
    """

    def __init__(self, batches: Any, count: int) -> None:
        self.batches, self.count = batches, min(count, len(batches))

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch, which decides the order of the batches."""
        self.batches.set_epoch(epoch)

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[Any]:
        return islice(iter(self.batches), self.count)


class IterationTimer(Callback):
    """Lightning callback that reads wall-clock and processor time at every iteration boundary."""

    def __init__(self) -> None:
        self.readings: list[tuple[float, float]] = []

    def on_train_epoch_start(self, *_: Any) -> None:
        """Read both clocks before the first iteration."""
        self.readings.append((time.perf_counter(), time.process_time()))

    def on_train_batch_end(self, *_: Any) -> None:
        """Read both clocks after an iteration."""
        self.readings.append((time.perf_counter(), time.process_time()))

    def seconds(self, kind: int = 0) -> list[float]:
        """Seconds of each iteration; kind 0: wall clock, 1: processor time."""
        ends = [reading[kind] for reading in self.readings]
        return [end - begin for begin, end in pairwise(ends)]
