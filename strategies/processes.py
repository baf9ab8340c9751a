"""Synchronisation of a search; here for a single process."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import nn

__all__ = ["SingleProcess"]


class SingleProcess:
    """Single process of a search; a subclass synchronises several data-parallel ones."""

    def average(self, parameters: Iterable[nn.Parameter]) -> None:
        """Average the gradients of alpha and beta over all processes; here a no-op."""

    def same_draws(self, device: torch.device) -> AbstractContextManager[None]:
        """Context in which all processes draw the same random numbers; here a no-op."""
        return nullcontext()
