"""Batches of training sequences, each with a way to ask for a batch of validation ones."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

__all__ = ["PairedBatches"]


class PairedBatches:
    """Iterates over training batches; each comes with a function that returns the next validation batch.

    Only every f-th iteration needs one, so it is not made before it is asked for. Validation batches start over when
    they are used up. Where the two sources have ``set_epoch``, the order of an epoch depends on its number alone,
    which is what lets a search go on after a kill as if it had not been broken.
    """

    def __init__(self, train: Iterable[Any], validation: Iterable[Any]) -> None:
        self.train, self.validation = train, validation
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Fix the order of the batches that follow."""
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self.train)  # type: ignore[arg-type]

    def __iter__(self) -> Iterator[tuple[Any, Callable[[], Any]]]:
        validation = self._endless()
        self._seed(self.train, self.epoch)
        for batch in self.train:
            yield batch, validation.__next__

    def _endless(self) -> Iterator[Any]:
        turn = 0
        while True:
            # Large and odd, so that no two turns of different epochs share an order.
            self._seed(self.validation, self.epoch + 1_000_003 * turn)
            batch = None
            for batch in self.validation:  # noqa: B007
                yield batch
            if batch is None:
                raise ValueError("there are no validation batches to train the architecture parameters on")
            turn += 1

    @staticmethod
    def _seed(source: Any, epoch: int) -> None:
        if hasattr(source, "set_epoch"):
            source.set_epoch(epoch)
