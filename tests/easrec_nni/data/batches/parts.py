"""Helpers of the tests of batches: small logs, and batches as plain lists."""

from __future__ import annotations

import numpy as np
import pytest
from torch import Tensor

from easrec_nni.data import Dataset, leave_one_out
from easrec_nni.data.batches.evaluation import ArchitectureBatches
from easrec_nni.data.batches.training import TrainingBatch, TrainingBatches

DATASETS = pytest.mark.parametrize("name", ["tiny_dataset", "ml100k"])
Pieces = list[tuple[int, int]]


class Log:
    """The attributes of a dataset that samples are cut from."""

    def __init__(self, lengths: list[int]) -> None:
        self.offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        self.split = leave_one_out(self.offsets)
        self.items = np.arange(1, self.offsets[-1] + 1, dtype=np.int32)


def dataset_of(name: str, request: pytest.FixtureRequest) -> Dataset:
    dataset: Dataset = request.getfixturevalue(name)
    return dataset


def training_parts(dataset: Dataset | Log) -> Pieces:
    return [(int(begin), int(end)) for begin, end in zip(dataset.offsets[:-1], dataset.split.train_end, strict=True)]


def pieces_of(samples: tuple[np.ndarray, ...]) -> Pieces:
    return list(zip(samples[0].tolist(), samples[1].tolist(), strict=True))


def padded_on_the_left(ids: Tensor) -> bool:
    """Whether no row has a padding after an item, no row is empty, and the longest has none."""
    real = (ids != 0).long()
    return bool((real.diff(dim=1) >= 0).all() and real[:, -1].all() and real.all(dim=1).any())


def rows_of(batch: TrainingBatch) -> list[tuple[list[int], list[int]]]:
    """Sequences without their padding, with their targets."""
    rows = []
    for ids, targets in zip(batch.ids.tolist(), batch.targets.tolist(), strict=True):
        real = [i for i, item in enumerate(ids) if item]
        rows.append(([ids[i] for i in real], [targets[i] for i in real] if isinstance(targets, list) else [targets]))
    return rows


def epoch_of(batches: TrainingBatches | ArchitectureBatches, epoch: int) -> list[list[object]]:
    batches.set_epoch(epoch)
    return [[batch.ids.tolist(), batch.targets.tolist()] for batch in batches]
