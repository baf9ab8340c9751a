"""Fixtures of networks with given states and item vectors, to compute losses by hand."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor


class Table:
    """Network with item vectors only."""

    def __init__(self, n_items: int, width: int = 4) -> None:
        torch.manual_seed(n_items)
        self.table = torch.randn(n_items + 1, width, dtype=torch.float64, requires_grad=True)
        self.asked: list[list[int] | None] = []

    def item_vectors(self, ids: Tensor | None = None) -> Tensor:
        """Vectors of all items, or of the given ones."""
        self.asked.append(None if ids is None else ids.tolist())
        return self.table[1:] if ids is None else self.table[ids]


@pytest.fixture
def seven() -> Table:
    return Table(7)


@pytest.fixture
def sixty() -> Table:
    return Table(60)


@pytest.fixture
def states() -> Tensor:
    torch.manual_seed(1)
    return (0.15 * torch.randn(5, 4, dtype=torch.float64)).requires_grad_()  # no item's probability is near 1


@pytest.fixture
def targets() -> Tensor:
    return torch.tensor([3, 1, 7, 3, 2])
