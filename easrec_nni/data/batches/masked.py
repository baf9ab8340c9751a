"""Training batches of the masked mode: hidden items are predicted from both sides."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from easrec_nni.data.batches.modes import BatchBy
from easrec_nni.data.batches.training import TrainingBatch, TrainingBatches
from easrec_nni.data.dataset import Dataset

__all__ = ["MaskedBatches"]


class MaskedBatches(TrainingBatches):
    """Batches of an epoch for BERT4Rec's objective (Sun et al., CIKM 2019).

    Sequences are those of the causal mode, with what would be their last target: one item more than the network looks
    back on, as many as it sees with the mask that asks for the next item. Of each a share of the items is masked, at
    least one, redrawn every epoch. With a probability the newest item alone is masked instead, as it is when the
    next item is asked for: the authors' program adds one such sequence to ten others, RecBole 1.2.1 takes half of its
    batches (``ft_ratio``). A masked item is replaced by the mask always, as in both.

    The network differs from the publication in one thing: the state of a mask is multiplied with the items' embeddings
    as it is, as in all systems here, without its output layer (dense, GELU, and a bias of each item) in between.

    Parameters
    ----------
    dataset, max_length, batch_size, seed, history, batch_by
        As for :class:`~easrec_nni.data.batches.training.TrainingBatches` in causal mode; the masks too are a function
        of (seed, epoch) alone.
    share
        Share of a sequence's items that is masked.
    newest_share
        Probability that a sequence's newest item alone is masked.
    """

    def __init__(
        self,
        dataset: Dataset,
        max_length: int,
        batch_size: int,
        seed: int,
        history: Literal["all", "newest"] = "all",
        batch_by: BatchBy = "sequences",
        *,
        share: float = 0.2,
        newest_share: float = 0.5,
    ) -> None:
        super().__init__(dataset, max_length, batch_size, "causal", seed, history, batch_by)
        self.mask_token = dataset.n_items + 1
        self.share, self.newest_share = share, newest_share

    def __iter__(self) -> Iterator[TrainingBatch]:
        random = np.random.default_rng((self.seed, self.epoch))
        for pieces in map(self._cut, self._sample_numbers(random)):
            masked = self._choose(pieces != 0, random)  # [B, T]
            ids, targets = np.where(masked, self.mask_token, pieces), np.where(masked, pieces, 0)  # [B, T], [B, T]
            yield TrainingBatch(torch.from_numpy(ids), torch.from_numpy(targets))

    def _choose(self, real: NDArray[np.bool_], random: np.random.Generator) -> NDArray[np.bool_]:
        """Draw the masked items, ``[B, T]``; `real` is False at padding."""
        counts = np.maximum(np.rint(self.share * real.sum(axis=1)), 1)  # [B]
        draws = np.where(real, random.random(real.shape), np.inf)  # [B, T]
        # The rank of each draw in its row: the smallest draws are masked.
        masked: NDArray[np.bool_] = draws.argsort(axis=1).argsort(axis=1) < counts[:, None]
        newest_only = random.random(len(real)) < self.newest_share  # [B]
        masked[newest_only] = np.arange(real.shape[1]) == real.shape[1] - 1  # padding is on the left
        return masked
