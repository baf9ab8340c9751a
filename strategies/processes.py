"""What a search in several processes has to agree on; here, a search in one."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import nn

__all__ = ["Alone"]


class Alone:
    """The only process of a search. A subclass lets several take the same steps, each on its share of the batches."""

    def average(self, parameters: Iterable[nn.Parameter]) -> None:
        """Make gradients of alpha and beta the mean over all processes."""

    def same_draws(self, device: torch.device) -> AbstractContextManager[None]:
        """Within, random numbers are the same in all processes."""
        return nullcontext()
