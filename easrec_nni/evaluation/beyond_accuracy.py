"""Beyond accuracy: how much of the catalogue is recommended at all, and how popular it is.

A system that shows everybody the same ten hits may be accurate and of no use. Both figures are of each user's first k
items of the full ranking, items of the history included, as in the accuracy figures named ``full``. Ranks of targets
are pessimistic among equals; a list of recommendations has k places, and some of the equals must have them
(:mod:`easrec_nni.evaluation.top_k`).
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
    """How often each item is among the first k of a user's full ranking.

    Memory is one number for each item and cut-off, however many users are added.

    Parameters
    ----------
    n_items
        Items of the catalogue, without padding.
    k
        Cut-off or cut-offs.
    unknown
        Items that are not recommended, as they first appear later; they are not counted in the catalogue.
    """

    def __init__(self, n_items: int, k: int | Sequence[int] = 10, unknown: NDArray[np.int64] | None = None) -> None:
        self.unknown = torch.zeros(0, dtype=torch.int64) if unknown is None else torch.from_numpy(unknown)
        self.n_items = n_items - len(self.unknown)
        self.counts = {cut: np.zeros(n_items + 1, dtype=np.int64) for cut in cut_offs(k)}

    def add(self, scores: Tensor) -> None:
        """Count what these users are recommended: scores ``[B, n_items + 1]``."""
        if len(self.unknown):
            scores = scores.index_fill(1, self.unknown.to(scores.device), -torch.inf)
        best = top_items(scores, max(self.counts))[1].cpu().numpy()
        for cut, counts in self.counts.items():
            counts += np.bincount(best[:, :cut].ravel(), minlength=len(counts))
            counts[self.unknown.numpy()] = 0  # those that fill the list where it is longer than what is known

    def metrics(self, training_counts: NDArray[np.int64]) -> dict[str, float]:
        """Figures over the users that were added.

        Parameters
        ----------
        training_counts
            ``[n_items + 1]`` training interactions of each item.

        Returns
        -------
        dict
            For every cut-off k, ``coverage@k_full``: the share, 0 to 1, of the catalogue that is among some user's
            first k; and ``mean_popularity@k_full``: training interactions of a recommended item, the mean over all
            users' first k.

        Raises
        ------
        ValueError
            No user was added.
        """
        result: dict[str, float] = {}
        for cut, counts in self.counts.items():
            if not counts.any():
                raise ValueError("nothing was recommended: no user was evaluated")
            result[f"coverage@{cut}_full"] = float(np.count_nonzero(counts) / self.n_items)
            result[f"mean_popularity@{cut}_full"] = float(counts @ training_counts / counts.sum())
        return result
