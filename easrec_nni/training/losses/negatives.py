"""Negatives of sampled losses: drawing, scoring, and accidental hits.

All positions of a batch share one set of negatives: the scores are then one matrix product with k rows, and the
gradient has the same expectation as with a separate set per position (gSASRec's), whose k vectors for each position
would take k times the memory of the states. The set is drawn uniformly without replacement. For a position whose target
is not in the set, its k items are a uniform sample of the other n - 1 items; for one whose target is in it (an
accidental hit, which must not be pushed down), the remaining k - 1 are.
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
    """Draw items uniformly without replacement: ``[min(count, n_items)]`` int64, from 1.

    Time and memory are of the order of ``count``, independent of the catalogue.

    Parameters
    ----------
    n_items
        Number of items in the catalogue.
    count
        Number of items to draw.
    seed
        Non-negative integers that determine the draw, such as (seed, epoch, step).
    """
    random = np.random.default_rng((STREAM, *seed))
    return torch.from_numpy(1 + random.choice(n_items, min(count, n_items), replace=False, shuffle=False))


class WithNegatives:
    """Training batches with negatives, which depend only on (seed, epoch, batch number).

    An interrupted training therefore resumes with the same negatives, and processes that share a batch share its
    negatives.

    Parameters
    ----------
    batches
        Batches with ``set_epoch``.
    n_items, count
        As in :func:`draw_negatives`.
    seed
        Seed of the draws.
    """

    def __init__(self, batches: Any, n_items: int, count: int, seed: int) -> None:
        self.batches, self.n_items, self.count, self.seed, self.epoch = batches, n_items, count, seed, 0

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch, which determines order and negatives of the next iteration."""
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
    """Scores of targets and negatives, from the vectors of these items only.

    Parameters
    ----------
    network, states, targets, negatives
        As in :class:`~easrec_nni.training.losses.ItemLoss`.

    Returns
    -------
    of_targets
        Scores of the targets, ``[positions]``.
    of_negatives
        Scores of the negatives, ``[positions, k]``.
    hits
        Accidental hits, ``[positions, k]``: true where a negative is the position's target.

    Raises
    ------
    ValueError
        The batch carries no negatives.
    """
    if negatives is None:
        raise ValueError("this loss needs negatives: iterate over WithNegatives(batches, …)")
    # One look-up, so that item dropout is drawn only once.
    vectors = network.item_vectors(torch.cat([targets, negatives]))
    target_vectors, negative_vectors = vectors[: len(targets)], vectors[len(targets) :]  # [positions, d], [k, d]
    exact = torch.promote_types(states.dtype, torch.float32)  # bfloat16 is too coarse for the logarithms
    of_targets = (states * target_vectors).sum(-1).to(exact)
    return of_targets, (states @ negative_vectors.T).to(exact), targets[:, None] == negatives
