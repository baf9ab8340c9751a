"""Evaluation batches: users' histories, padded on the left, and the items to rank.

The validation targets of half of the users train the architecture parameters instead.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from easrec_nni.data.batches.padding import padded
from easrec_nni.data.batches.training import TrainingBatch
from easrec_nni.data.dataset import Dataset

__all__ = ["ArchitectureBatches", "EvaluationBatch", "EvaluationBatches"]


class EvaluationBatch(NamedTuple):
    """Histories with the item to rank.

    Attributes
    ----------
    rows
        ``[B]`` rows of the part's targets.
    ids
        ``[B, T]`` histories, 0 = padding on the left.
    targets
        ``[B]`` items to rank.
    """

    rows: Tensor
    ids: Tensor
    targets: Tensor


class EvaluationBatches:
    """Targets of a part with their users' histories, long histories together.

    When testing, validation targets belong to the history.

    Parameters
    ----------
    dataset
        The interactions.
    part
        ``valid`` or ``test``.
    max_length
        Number N of newest interactions that are taken from a history.
    batch_size
        Targets in a batch.
    rows
        Rows of the part's targets to take, all by default.
    """

    def __init__(
        self, dataset: Dataset, part: str, max_length: int, batch_size: int, rows: NDArray[np.int64] | None = None
    ) -> None:
        targets = dataset.split.part(part)
        self.items = np.asarray(dataset.items)
        self.rows = np.arange(len(targets)) if rows is None else np.asarray(rows)
        self.places, self.ends = targets.places[self.rows], targets.history_ends[self.rows]
        self.starts = np.maximum(dataset.offsets[targets.users[self.rows]], self.ends - max_length)
        self.batch_size = batch_size

    def __len__(self) -> int:
        return math.ceil(len(self.rows) / self.batch_size)

    def __iter__(self) -> Iterator[EvaluationBatch]:
        order = np.argsort(self.starts - self.ends, kind="stable")  # longest first: memory peaks at the start
        for begin in range(0, len(order), self.batch_size):
            batch = order[begin : begin + self.batch_size]  # [B] of the rows
            ids = padded(self.items, self.starts[batch], self.ends[batch])  # [B, T]
            targets = self.items[self.places[batch]].astype(np.int64)  # [B]
            yield EvaluationBatch(torch.from_numpy(self.rows[batch]), torch.from_numpy(ids), torch.from_numpy(targets))


class ArchitectureBatches:
    """Validation targets that train alpha and beta, with a loss at the newest position alone.

    Earlier positions were trained on; a loss there would measure how well an architecture memorises.
    """

    def __init__(self, dataset: Dataset, max_length: int, batch_size: int, rows: NDArray[np.int64], seed: int) -> None:
        self.dataset, self.max_length, self.batch_size = dataset, max_length, batch_size
        self.rows, self.seed, self.epoch = rows, seed, 0

    def set_epoch(self, epoch: int) -> None:
        """Fix the order of the next iteration."""
        self.epoch = epoch

    def __len__(self) -> int:
        return math.ceil(len(self.rows) / self.batch_size)

    def __iter__(self) -> Iterator[TrainingBatch]:
        order = np.random.default_rng((self.seed, self.epoch)).permutation(self.rows)
        for begin in range(0, len(order), self.batch_size):
            rows = order[begin : begin + self.batch_size]
            for batch in EvaluationBatches(self.dataset, "valid", self.max_length, len(rows), rows):
                yield TrainingBatch(batch.ids, batch.targets)
