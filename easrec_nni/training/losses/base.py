"""Interface of next-item losses."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

from torch import Tensor

__all__ = ["ItemLoss"]


class ItemLoss(ABC):
    """Next-item loss: mean over states, each with one target item.

    Parameters
    ----------
    n_items
        Number of items in the catalogue, without padding.
    """

    needs_negatives = True
    """Whether batches must carry sampled negatives."""

    def __init__(self, n_items: int) -> None:
        self.n_items = n_items

    @abstractmethod
    def __call__(self, network: Any, states: Tensor, targets: Tensor, negatives: Tensor | None) -> Tensor:
        """Compute the loss, a scalar.

        Parameters
        ----------
        network
            Network with the ``item_vectors`` for the scores.
        states
            States ``[positions, d]``.
        targets
            Target items ``[positions]``, numbered from 1.
        negatives
            Distinct negative items ``[k]``, numbered from 1 and shared by all positions.
        """

    def __repr__(self) -> str:
        return f"{type(self).__name__}(n_items={self.n_items})"
