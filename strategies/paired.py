"""Training batches paired with validation batches on demand."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

__all__ = ["PairedBatches"]


class PairedBatches:
    """Training batches, each with a function that returns the next validation batch.

    Validation batches are made on demand, as only every f-th iteration needs one, and start over when they are used up.
    If both sources have ``set_epoch``, the order of an epoch only depends on its number, so that an interrupted search
    can be resumed exactly.
    """

    def __init__(self, train: Iterable[Any], validation: Iterable[Any]) -> None:
        self.train, self.validation = train, validation
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch, which determines the order of the batches."""
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self.train)  # type: ignore[arg-type]

    def __iter__(self) -> Iterator[tuple[Any, Callable[[], Any]]]:
        validation = self._endless()
        self._seed(self.train, self.epoch)
        for batch in self.train:
            yield batch, validation.__next__

    def _endless(self) -> Iterator[Any]:
        cycle = 0
        while True:
            # Large and odd, so that no two cycles of different epochs share an order.
            self._seed(self.validation, self.epoch + 1_000_003 * cycle)
            batch = None
            for batch in self.validation:  # noqa: B007
                yield batch
            if batch is None:
                raise ValueError("no validation batches to train the architecture parameters on")
            cycle += 1

    @staticmethod
    def _seed(source: Any, epoch: int) -> None:
        if hasattr(source, "set_epoch"):
            source.set_epoch(epoch)
