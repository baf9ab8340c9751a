"""Training batches of sequences with their next items, padded on the left.

Rows are as long as the longest of the batch.
The order of an epoch is a function of (seed, epoch) alone, so that interrupted training resumes with the batches that
would have followed.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from easrec_nni.data.batches.modes import BatchBy, History, Mode, check_history
from easrec_nni.data.batches.padding import padded, prefix_samples, windows
from easrec_nni.data.dataset import Dataset

__all__ = ["TrainingBatch", "TrainingBatches"]

# Sequences are sorted by length within pools of this many batches: little padding, and still a new mix every epoch.
POOL_BATCHES = 50


class TrainingBatch(NamedTuple):
    """Sequences and the items to predict.

    Attributes
    ----------
    ids
        ``[B, T]`` item numbers, 0 = padding on the left.
    targets
        ``[B, T]``, the item after each position and 0 where no loss is; or ``[B]``, the item after the newest position.
    negatives
        ``[k]`` items that a sampled loss compares the targets with (:mod:`easrec_nni.training.losses.negatives`).
    weight
        Factor of the batch's mean loss: not 1 where it is a process' share of a larger batch.
    places
        Places of the targets in the interaction log, of the targets' shape; meaningless where no loss is.
    """

    ids: Tensor
    targets: Tensor
    negatives: Tensor | None = None
    weight: float = 1.0
    places: Tensor | None = None

    def of_rows(self, rows: slice, first: int = 0) -> TrainingBatch:
        """Some sequences of the batch, without the columns before ``first``."""

        def cut(tensor: Tensor) -> Tensor:
            return tensor[rows, first:] if tensor.dim() == 2 else tensor[rows]

        places = None if self.places is None else cut(self.places)
        return self._replace(ids=cut(self.ids), targets=cut(self.targets), places=places)


class TrainingBatches:
    """Training batches of an epoch, sequences of similar length together.

    Parameters
    ----------
    dataset
        The interactions.
    max_length
        Number N of newest items that a network sees.
    batch_size
        Sequences in a batch.
    mode
        ``causal``: a loss at every position of the windows; ``augmented``: every prefix is a sample
        (:mod:`easrec_nni.data.batches.padding`).
    seed
        Seed of the order.
    history
        Causal mode: part of a user's training interactions that is taken, and how it is cut; see
        :func:`~easrec_nni.data.batches.padding.windows`.
    batch_by
        Unit of which batches have the same number. A batch's loss is the mean over its targets, so that with
        ``sequences``, which lie together by length, a target of a short history weighs as many times more as it
        has fewer beside it. With ``targets`` all weigh alike; ``batch_size`` is then the mean number of sequences.
    """

    def __init__(
        self,
        dataset: Dataset,
        max_length: int,
        batch_size: int,
        mode: Mode,
        seed: int,
        history: History = "all",
        batch_by: BatchBy = "sequences",
    ) -> None:
        check_history(mode, history)
        self.items = np.asarray(dataset.items)
        self.every_position = mode == "causal"
        if self.every_position:
            self.samples = windows(dataset, max_length, history)
        else:
            self.samples = prefix_samples(dataset, max_length)
        self.batch_size, self.seed, self.epoch, self.batch_by = batch_size, seed, 0, batch_by

    def set_epoch(self, epoch: int) -> None:
        """Fix the order of the next iteration."""
        self.epoch = epoch

    def __len__(self) -> int:
        return math.ceil(len(self.samples.starts) / self.batch_size)

    def __iter__(self) -> Iterator[TrainingBatch]:
        for numbers in self._sample_numbers(np.random.default_rng((self.seed, self.epoch))):
            pieces = self._cut(numbers)  # [B, T + 1]
            targets = pieces[:, 1:] if self.every_position else pieces[:, -1]  # [B, T] or [B]
            places = self.samples.ends[numbers] - 1  # [B]
            if self.every_position:
                is_new = np.arange(targets.shape[1], 0, -1) <= self.samples.targets[numbers, None]  # [B, T]
                targets = np.where(is_new & (pieces[:, :-1] != 0), targets, 0)
                places = places[:, None] - np.arange(targets.shape[1] - 1, -1, -1)  # [B, T]
            yield TrainingBatch(
                torch.from_numpy(pieces[:, :-1].copy()),
                torch.from_numpy(targets.copy()),
                places=torch.from_numpy(places),
            )

    def _cut(self, numbers: NDArray[np.int64]) -> NDArray[np.int64]:
        """Samples ``[B]`` with their last target, ``[B, T + 1]``."""
        return padded(self.items, self.samples.starts[numbers], self.samples.ends[numbers])

    def _cuts(self, part: NDArray[np.int64]) -> NDArray[np.int64]:
        """Places that cut a pool of samples into batches, none of them empty.

        There are as many batches by targets as by sequences.
        """
        by_sequences = np.arange(self.batch_size, len(part), self.batch_size)
        if self.batch_by == "sequences":
            return by_sequences
        count = len(by_sequences) + 1
        targets = self.samples.targets[part].cumsum()  # [pool]
        wanted = np.searchsorted(targets, targets[-1] * np.arange(1, count) / count)  # [count - 1]
        turn = np.arange(1, count)
        # Less its number, no cut is smaller than the one before: they ascend strictly, from 1 to at most len(part) - 1.
        return np.minimum(np.maximum.accumulate(np.maximum(wanted, 1) - turn) + turn, len(part) - count + turn)

    def _sample_numbers(self, random: np.random.Generator) -> Iterator[NDArray[np.int64]]:
        """Numbers of the samples of each batch, ``[B]``."""
        order = random.permutation(len(self.samples.starts))
        size = POOL_BATCHES * self.batch_size
        pools: dict[int, list[NDArray[np.int64]]] = {}  # sorted when first asked for, so that an epoch begins at once
        for number in random.permutation(len(self)).tolist():
            pool, place = divmod(number, POOL_BATCHES)
            if pool not in pools:
                part = order[pool * size : (pool + 1) * size]
                lengths = self.samples.ends[part] - self.samples.starts[part]
                part = part[np.argsort(lengths, kind="stable")]
                pools[pool] = np.split(part, self._cuts(part))
            yield pools[pool][place]
