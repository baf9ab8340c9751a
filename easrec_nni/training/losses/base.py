"""Interface of the losses of the next item."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

from torch import Tensor

__all__ = ["ItemLoss"]


class ItemLoss(ABC):
    """Mean over states of how badly their target is told from the other items.

    Parameters
    ----------
    n_items
        Items of the catalogue, without padding.
    """

    needs_negatives = True
    """Whether batches must carry items to compare the targets with."""

    def __init__(self, n_items: int) -> None:
        self.n_items = n_items

    @abstractmethod
    def __call__(self, network: Any, states: Tensor, targets: Tensor, negatives: Tensor | None) -> Tensor:
        """The loss, a number.

        Parameters
        ----------
        network
            Whose ``item_vectors`` the states are multiplied with.
        states
            ``[positions, d]``.
        targets
            ``[positions]`` item numbers from 1.
        negatives
            ``[k]`` item numbers from 1, each once; they serve all positions.
        """

    def __repr__(self) -> str:
        return f"{type(self).__name__}(n_items={self.n_items})"
