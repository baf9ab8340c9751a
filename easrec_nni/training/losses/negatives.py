"""Negatives of a sampled loss: which items a batch's targets are compared with, and what becomes of accidental hits.

A batch has one set of negatives, which all its positions share: the scores are then one matrix product with k rows,
and the gradient's expectation is the one of sets that every position draws for itself (gSASRec's), whose k vectors for
each position would take k times the memory of the states. A set is drawn without replacement and uniformly; seen from
a position whose target is not in it, its k items are a uniform sample of the other n - 1 items, and seen from one
whose target is (an accidental hit, which must not be pushed down), the remaining k - 1 are.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from easrec_nni.data.batches.training import TrainingBatch

__all__ = ["WithNegatives", "draw_negatives", "score_sampled"]

# Part of the generator's seed, so that negatives and the order of an epoch share no random numbers.
STREAM = 0x6E656773


def draw_negatives(n_items: int, count: int, *seed: int) -> Tensor:
    """Items drawn uniformly without replacement, ``[min(count, n_items)]`` int64 numbers from 1.

    Time and memory are of the order of ``count``, whatever the catalogue.

    Parameters
    ----------
    n_items
        Items of the catalogue.
    count
        Items wanted.
    seed
        Whole numbers from 0, such as (seed, epoch, step): the items are a function of them.
    """
    random = np.random.default_rng((STREAM, *seed))
    return torch.from_numpy(1 + random.choice(n_items, min(count, n_items), replace=False, shuffle=False))


class WithNegatives:
    """Training batches, each with its negatives, which are a function of (seed, epoch, number of the batch) alone.

    So a training that was killed goes on with the negatives that it would have met, and processes that share a batch
    share its negatives.

    Parameters
    ----------
    batches
        Batches with ``set_epoch``.
    n_items, count
        See :func:`draw_negatives`.
    seed
        Seed of the draws.
    """

    def __init__(self, batches: Any, n_items: int, count: int, seed: int) -> None:
        self.batches, self.n_items, self.count, self.seed, self.epoch = batches, n_items, count, seed, 0

    def set_epoch(self, epoch: int) -> None:
        """Fix order and negatives of the next iteration."""
        self.epoch = epoch
        self.batches.set_epoch(epoch)

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[TrainingBatch]:
        for step, batch in enumerate(self.batches):
            negatives = draw_negatives(self.n_items, self.count, self.seed, self.epoch, step)
            yield batch._replace(negatives=negatives)


def score_sampled(
    network: Any, states: Tensor, targets: Tensor, negatives: Tensor | None
) -> tuple[Tensor, Tensor, Tensor]:
    """Scores of the targets and of the negatives; only these items' vectors are looked up.

    Parameters
    ----------
    network, states, targets, negatives
        See :class:`~easrec_nni.training.losses.ItemLoss`.

    Returns
    -------
    of_targets
        ``[positions]``.
    of_negatives
        ``[positions, k]``.
    hits
        ``[positions, k]``, true where a negative is the position's own target.

    Raises
    ------
    ValueError
        The batch carries no negatives.
    """
    if negatives is None:
        raise ValueError("this loss needs negatives: iterate over WithNegatives(batches, …)")
    # One look-up, so that a network which draws dropout on items does so once.
    vectors = network.item_vectors(torch.cat([targets, negatives]))
    own, others = vectors[: len(targets)], vectors[len(targets) :]
    exact = torch.promote_types(states.dtype, torch.float32)  # logarithms of bfloat16 would lose what was learnt
    return (states * own).sum(-1).to(exact), (states @ others.T).to(exact), targets[:, None] == negatives
