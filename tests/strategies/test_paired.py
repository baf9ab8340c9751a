from __future__ import annotations

from collections.abc import Iterator

import pytest

from strategies.paired import PairedBatches


class Numbers:
    """Batches that record the epoch they were made in, and their number."""

    def __init__(self, count: int) -> None:
        self.count, self.epoch, self.made, self.epochs = count, 0, 0, list[int]()

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch
        self.epochs.append(epoch)

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[tuple[int, int]]:
        for number in range(self.count):
            self.made += 1
            yield self.epoch, number


def test_a_validation_batch_is_made_when_it_is_asked_for() -> None:
    train, validation = Numbers(6), Numbers(2)
    paired = PairedBatches(train, validation)
    asked = []
    for number, (batch, following) in enumerate(paired):
        assert batch == (0, number)
        if number % 3 == 0:
            asked.append(following())
    assert len(paired) == 6 and asked == [(0, 0), (0, 1)] and validation.made == 2


def test_validation_batches_start_over_in_another_order() -> None:
    train, validation = Numbers(5), Numbers(2)
    paired = PairedBatches(train, validation)
    seen = {}
    for epoch in (0, 1, 0):
        paired.set_epoch(epoch)
        seen[epoch] = [following() for _, following in paired]
        assert [number for _, number in seen[epoch]] == [0, 1, 0, 1, 0]
        assert len({made_in for made_in, _ in seen[epoch]}) == 3, "each cycle has its own order"
        assert train.epoch == epoch
    assert not {made_in for made_in, _ in seen[0]} & {made_in for made_in, _ in seen[1]}
    paired.set_epoch(0)
    assert [following() for _, following in paired] == seen[0], "a function of the epoch alone"


def test_lists_have_no_epochs_and_none_is_an_error() -> None:
    assert [(batch, following()) for batch, following in PairedBatches("ab", "c")] == [("a", "c"), ("b", "c")]
    with pytest.raises(ValueError, match="no validation batches"):
        next(iter(PairedBatches("ab", [])))[1]()
