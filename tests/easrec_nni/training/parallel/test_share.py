"""Shares of batches: they partition the batch, and their weighted losses average to its loss."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from easrec_nni.data import Dataset
from easrec_nni.data.batches.training import TrainingBatch, TrainingBatches
from easrec_nni.training.losses import LOSSES, WithNegatives, make_loss, next_item_loss
from easrec_nni.training.parallel import (
    ShareOfBatches,
    all_gather,
    average,
    average_gradients,
    count,
    is_first,
    processes_of,
)
from search_spaces import EASRecSpace, SpaceConfig
from strategies import SingleProcess

SIZES: dict[str, Any] = {"max_length": 8, "hidden": 8, "inner": 16, "heads": 2, "layers": 1}


class Few:
    """Fixed list of batches."""

    def __init__(self, *batches: TrainingBatch) -> None:
        self.batches = batches

    def set_epoch(self, epoch: int) -> None:
        """Ignore the epoch."""

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Any:
        return iter(self.batches)


@pytest.mark.parametrize("processes", [2, 3])
@pytest.mark.parametrize("mode", ["causal", "augmented"])
def test_every_sequence_is_in_one_share(tiny_dataset: Dataset, mode: str, processes: int) -> None:
    def batches() -> TrainingBatches:
        return TrainingBatches(tiny_dataset, 5, 8, mode, 1)

    shares = [ShareOfBatches(batches(), rank, processes) for rank in range(processes)]
    whole = batches()
    for source in (whole, *shares):
        source.set_epoch(2)
    assert {len(share) for share in shares} == {len(whole)}
    for batch, *parts in zip(whole, *shares, strict=True):
        for name in ("ids", "targets"):
            rows = sorted(row for part in parts if part.weight for row in getattr(part, name).tolist())
            assert rows == sorted(getattr(batch, name).tolist())
        assert sum(part.weight for part in parts) == pytest.approx(processes)


@pytest.mark.parametrize("name", list(LOSSES))
@pytest.mark.parametrize("mode", ["causal", "augmented"])
def test_mean_loss_and_gradients_of_the_shares_are_the_whole_batchs(
    tiny_dataset: Dataset, mode: str, name: str
) -> None:
    """Sequences of different lengths, so that shares differ in their number of targets."""
    torch.manual_seed(0)
    network = EASRecSpace(SpaceConfig(**SIZES, n_items=tiny_dataset.n_items)).double().eval()
    loss = make_loss(name, tiny_dataset.n_items)

    def first(rank: int, processes: int) -> tuple[torch.Tensor, list[torch.Tensor]]:
        batches = WithNegatives(TrainingBatches(tiny_dataset, 8, 7, mode, 0), tiny_dataset.n_items, 5, 0)
        value = next_item_loss(network, next(iter(ShareOfBatches(batches, rank, processes))), loss)
        gradients = torch.autograd.grad(value, list(network.parameters()), allow_unused=True)
        return value.detach(), [gradient for gradient in gradients if gradient is not None]

    expected, gradients = first(0, 1)
    values, of_shares = zip(*(first(rank, 3) for rank in range(3)), strict=True)
    assert sum(values).item() / 3 == pytest.approx(expected.item(), rel=1e-12)
    for whole, *parts in zip(gradients, *of_shares, strict=True):
        torch.testing.assert_close(sum(parts) / 3, whole, rtol=1e-9, atol=1e-14)


def test_a_process_without_a_sequence_computes_one_for_nothing() -> None:
    batch = TrainingBatch(torch.tensor([[1, 2]]), torch.tensor([[2, 3]]))
    shares = [next(iter(ShareOfBatches(Few(batch), rank, 3))) for rank in range(3)]
    assert [share.weight for share in shares] == [3.0, 0.0, 0.0]
    assert all(share.ids.tolist() == [[1, 2]] for share in shares)


def test_one_process_has_nothing_to_agree_on() -> None:
    weight = torch.nn.Parameter(torch.ones(2))
    weight.grad = torch.tensor([1.0, 2.0])
    average_gradients([weight])
    assert weight.grad.tolist() == [1, 2] and average(torch.tensor(3.0)).item() == 3
    assert count() == 1 and is_first() and all_gather("x") == ["x"] and type(processes_of()) is SingleProcess
