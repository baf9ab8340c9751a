"""Mixed precision for custom autograd functions."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["as_autocast"]


def as_autocast(*tensors: Tensor) -> list[Tensor]:
    """Cast tensors as autocast does for torch's matrix products.

    Custom functions must do so themselves, as autocast casts some of the products inside but not those in place.

    Examples
    --------
    >>> with torch.autocast("cpu", dtype=torch.bfloat16):
    ...     [tensor.dtype for tensor in as_autocast(torch.ones(1), torch.ones(1))]
    [torch.bfloat16, torch.bfloat16]
    """
    device = tensors[0].device.type
    if not torch.is_autocast_enabled(device):
        return list(tensors)
    dtype = torch.get_autocast_dtype(device)
    return [tensor.to(dtype) for tensor in tensors]
