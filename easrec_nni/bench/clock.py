"""The time of each training iteration, and epochs that end early."""

from __future__ import annotations

import time
from collections.abc import Iterator
from itertools import islice
from typing import Any

from pytorch_lightning import Callback

__all__ = ["Clock", "First"]


class First:
    """The first batches of every epoch.

    Parameters
    ----------
    batches
        Training or evaluation batches.
    count
        How many of them to hand out, or all that there are.
    """

    def __init__(self, batches: Any, count: int) -> None:
        self.batches, self.count = batches, min(count, len(batches))

    def set_epoch(self, epoch: int) -> None:
        """Fix the order."""
        self.batches.set_epoch(epoch)

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[Any]:
        return islice(iter(self.batches), self.count)


class Clock(Callback):
    """When each iteration began or ended: the clock on the wall, and that of the processor."""

    def __init__(self) -> None:
        self.readings: list[tuple[float, float]] = []

    def on_train_epoch_start(self, *_: Any) -> None:
        """The first iteration begins."""
        self.readings.append((time.perf_counter(), time.process_time()))

    def on_train_batch_end(self, *_: Any) -> None:
        """One ends, another begins."""
        self.readings.append((time.perf_counter(), time.process_time()))

    def seconds(self, kind: int = 0) -> list[float]:
        """Of each iteration; kind 0: on the wall, 1: of the processor."""
        ends = [reading[kind] for reading in self.readings]
        return [end - begin for begin, end in zip(ends, ends[1:], strict=False)]
