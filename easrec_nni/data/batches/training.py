"""Padded batches of sequences: for training, for the architecture parameters, for evaluation.

Sequences are padded on the left, and a batch is as long as its longest sequence. The order of an epoch is a function of
(seed, epoch) alone, so that a training that was killed goes on with the batches it would have met.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from easrec_nni.data.batches.modes import History, Mode, check_history
from easrec_nni.data.dataset import Dataset

__all__ = [
    "ArchitectureBatches",
    "EvaluationBatch",
    "EvaluationBatches",
    "TrainingBatch",
    "TrainingBatches",
    "prefix_samples",
    "windows",
]

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
        What the batch's mean loss is multiplied with: not 1 where it is a process' share of a larger batch.
    """

    ids: Tensor
    targets: Tensor
    negatives: Tensor | None = None
    weight: float = 1.0


class EvaluationBatch(NamedTuple):
    """Histories with the item to rank.

    Attributes
    ----------
    rows
        ``[B]`` rows of the dataset's evaluated users.
    ids
        ``[B, T]`` histories, 0 = padding on the left.
    targets
        ``[B]``.
    """

    rows: Tensor
    ids: Tensor
    targets: Tensor


class _Samples(NamedTuple):
    """Pieces ``items[start:end]`` of the interaction log, and how many of the newest items in each are targets."""

    starts: NDArray[np.int64]
    ends: NDArray[np.int64]
    targets: NDArray[np.int64]


def windows(dataset: Dataset, max_length: int, history: History = "all") -> _Samples:
    """Training sequences of the causal mode: each user's training part, cut into pieces of ``max_length`` + 1.

    Pieces are cut from the newest end. They overlap by one item, so that every training interaction but the user's
    first is a target exactly once. Behind a cut a target has few interactions before it, where in use there are
    ``max_length``: ``overlapping`` pieces begin half as far apart, and only what is new in each is a target, with at
    least half of ``max_length`` before it, if the user has so many. With ``newest`` a user's newest piece alone is
    taken. Users with fewer than two training interactions have nothing to predict.
    """
    begins, ends = dataset.offsets[:-1], dataset.split.train_end
    step = -(-max_length // 2) if history == "overlapping" else max_length
    predictable = np.maximum(ends - begins - 1, 0)
    pieces = np.where(predictable > 0, 1 + np.maximum(-(-(predictable - max_length) // step), 0), 0)
    if history == "newest":
        pieces = np.minimum(pieces, 1)
    user = np.repeat(np.arange(len(begins)), pieces)
    turn = np.arange(len(user)) - np.repeat(np.cumsum(pieces) - pieces, pieces)
    piece_ends = ends[user] - turn * step
    starts = np.maximum(begins[user], piece_ends - max_length - 1)
    is_oldest = starts == begins[user]
    return _Samples(starts, piece_ends, np.where(is_oldest, piece_ends - starts - 1, step))


def prefix_samples(dataset: Dataset, max_length: int) -> _Samples:
    """Training samples of the augmented mode: every prefix of a user's training part, with the item after it."""
    begins, ends = dataset.offsets[:-1], dataset.split.train_end
    counts = np.maximum(ends - begins - 1, 0)
    user = np.repeat(np.arange(len(begins)), counts)
    length = np.arange(len(user)) - np.repeat(np.cumsum(counts) - counts, counts) + 1
    piece_ends = begins[user] + length + 1
    starts = np.maximum(begins[user], piece_ends - max_length - 1)
    return _Samples(starts, piece_ends, np.ones_like(starts))


def _padded(items: NDArray[np.int32], starts: NDArray[np.int64], ends: NDArray[np.int64]) -> NDArray[np.int64]:
    """Pieces of the log as rows, padded on the left: ``[B, longest]``."""
    longest = int((ends - starts).max())
    index = ends[:, None] - longest + np.arange(longest)
    return np.where(index >= starts[:, None], items[np.maximum(index, 0)], 0).astype(np.int64)


class TrainingBatches:
    """Training batches of an epoch, sequences of similar length together.

    Parameters
    ----------
    dataset
        The interactions.
    max_length
        N.
    batch_size
        Sequences in a batch.
    mode
        ``causal``: a loss at every position of :func:`windows`; ``augmented``: every prefix is a sample.
    seed
        Seed of the order.
    history
        Causal mode: what of a user's training part is taken, and how it is cut; see :func:`windows`.
    """

    def __init__(
        self, dataset: Dataset, max_length: int, batch_size: int, mode: Mode, seed: int, history: History = "all"
    ) -> None:
        check_history(mode, history)
        self.items = np.asarray(dataset.items)
        self.every_position = mode == "causal"
        if self.every_position:
            self.samples = windows(dataset, max_length, history)
        else:
            self.samples = prefix_samples(dataset, max_length)
        self.batch_size, self.seed, self.epoch = batch_size, seed, 0
        self.reversed_share = 0.0

    def set_epoch(self, epoch: int) -> None:
        """Fix the order of the next iteration."""
        self.epoch = epoch

    def __len__(self) -> int:
        return math.ceil(len(self.samples.starts) / self.batch_size)

    def __iter__(self) -> Iterator[TrainingBatch]:
        turned = np.random.default_rng((self.seed, self.epoch, 1))
        for chosen in self._chosen(np.random.default_rng((self.seed, self.epoch))):
            pieces = self._cut(chosen)
            if self.reversed_share:
                rows = turned.random(len(pieces)) < self.reversed_share
                pieces[rows] = self._cut(chosen, backwards=True)[rows]
            targets = pieces[:, 1:] if self.every_position else pieces[:, -1]
            if self.every_position:
                is_new = np.arange(targets.shape[1], 0, -1) <= self.samples.targets[chosen, None]
                targets = np.where(is_new & (pieces[:, :-1] != 0), targets, 0)
            yield TrainingBatch(torch.from_numpy(pieces[:, :-1].copy()), torch.from_numpy(targets.copy()))

    def _cut(self, chosen: NDArray[np.int64], backwards: bool = False) -> NDArray[np.int64]:
        """Samples with their last target, ``[B, T + 1]``."""
        starts, ends = self.samples.starts[chosen], self.samples.ends[chosen]
        if backwards:
            longest = int((ends - starts).max())
            index = starts[:, None] + np.arange(longest)[::-1]
            return np.where(index < ends[:, None], self.items[np.minimum(index, len(self.items) - 1)], 0).astype(
                np.int64
            )
        return _padded(self.items, starts, ends)

    def _chosen(self, random: np.random.Generator) -> Iterator[NDArray[np.int64]]:
        """Numbers of the samples of each batch."""
        order = random.permutation(len(self.samples.starts))
        lengths = self.samples.ends - self.samples.starts
        pool = POOL_BATCHES * self.batch_size
        batches: list[NDArray[np.int64]] = []
        for begin in range(0, len(order), pool):
            part = order[begin : begin + pool]
            part = part[np.argsort(lengths[part], kind="stable")]
            batches.extend(part[i : i + self.batch_size] for i in range(0, len(part), self.batch_size))
        yield from (batches[number] for number in random.permutation(len(batches)))


class EvaluationBatches:
    """Evaluated users with their history and target, long histories together.

    When testing, the validation target belongs to the history.

    Parameters
    ----------
    dataset
        The interactions.
    part
        ``valid`` or ``test``.
    max_length
        N, newest interactions of the history that are handed out.
    batch_size
        Users in a batch.
    rows
        Rows of the evaluated users to take, all by default.
    """

    def __init__(
        self, dataset: Dataset, part: str, max_length: int, batch_size: int, rows: NDArray[np.int64] | None = None
    ) -> None:
        split = dataset.split
        self.items = np.asarray(dataset.items)
        places = split.valid_target_index if part == "valid" else split.test_target_index
        self.rows = np.arange(len(split.eval_users)) if rows is None else np.asarray(rows)
        self.places = places[self.rows]
        self.starts = np.maximum(dataset.offsets[split.eval_users[self.rows]], self.places - max_length)
        self.batch_size = batch_size

    def __len__(self) -> int:
        return math.ceil(len(self.rows) / self.batch_size)

    def __iter__(self) -> Iterator[EvaluationBatch]:
        order = np.argsort(self.starts - self.places, kind="stable")  # longest first: memory is known from the start
        for begin in range(0, len(order), self.batch_size):
            chosen = order[begin : begin + self.batch_size]
            ids = _padded(self.items, self.starts[chosen], self.places[chosen])
            targets = self.items[self.places[chosen]].astype(np.int64)
            yield EvaluationBatch(torch.from_numpy(self.rows[chosen]), torch.from_numpy(ids), torch.from_numpy(targets))


class ArchitectureBatches:
    """Validation targets that train alpha and beta: loss at the newest position alone.

    Earlier positions were trained on; a loss there would tell how well an architecture memorises.
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
