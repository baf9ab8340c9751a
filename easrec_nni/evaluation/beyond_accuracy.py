"""Beyond-accuracy metrics: catalogue coverage and mean popularity of the recommended items.

A system that shows every user the same ten hits may be accurate and still useless. Both metrics use the top k of each
user's full ranking, items of the history included, as the accuracy metrics named ``full`` do. Target ranks are
pessimistic about ties; a recommendation list has exactly k places, so ties follow the rule of
:mod:`easrec_nni.evaluation.top_k`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from easrec_nni.evaluation.metrics import cut_offs
from easrec_nni.evaluation.top_k import top_items

__all__ = ["Recommended"]


class Recommended:
    """Count of users whose top k contains an item, per item and cut-off.

    Memory is one number per item and cut-off, independent of the number of users.

    Parameters
    ----------
    n_items
        Number of items in the catalogue, without padding.
    k
        Cut-off or cut-offs.
    unknown
        Items excluded from recommendation and from the catalogue, because they first appear later.
    """

    def __init__(self, n_items: int, k: int | Sequence[int] = 10, unknown: NDArray[np.int64] | None = None) -> None:
        self.unknown = torch.zeros(0, dtype=torch.int64) if unknown is None else torch.from_numpy(unknown)
        self.n_items = n_items - len(self.unknown)
        self.counts = {cut: np.zeros(n_items + 1, dtype=np.int64) for cut in cut_offs(k)}

    def add(self, scores: Tensor) -> None:
        """Count the recommendations of a batch of users, from scores ``[B, n_items + 1]``."""
        if len(self.unknown):
            scores = scores.index_fill(1, self.unknown.to(scores.device), -torch.inf)
        best = top_items(scores, max(self.counts))[1].cpu().numpy()  # [B, k]
        for cut, counts in self.counts.items():
            counts += np.bincount(best[:, :cut].ravel(), minlength=len(counts))
            counts[self.unknown.numpy()] = 0  # they only pad lists longer than the catalogue

    def metrics(self, training_counts: NDArray[np.int64]) -> dict[str, float]:
        """Coverage and mean popularity over all users added.

        Parameters
        ----------
        training_counts
            Number of training interactions of each item, ``[n_items + 1]``.

        Returns
        -------
        dict
            For every cut-off k, ``coverage@k_full``: share of the catalogue, 0 to 1, in the top k of at least one user;
            and ``mean_popularity@k_full``: training interactions of a recommended item, averaged over all users' top k.

        Raises
        ------
        ValueError
            No user was added.
        """
        result: dict[str, float] = {}
        for cut, counts in self.counts.items():
            if not counts.any():
                raise ValueError("no recommendations: no user was evaluated")
            result[f"coverage@{cut}_full"] = float(np.count_nonzero(counts) / self.n_items)
            result[f"mean_popularity@{cut}_full"] = float(counts @ training_counts / counts.sum())
        return result
