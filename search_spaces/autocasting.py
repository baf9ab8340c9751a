"""Mixed precision for products that torch does not know as such."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["as_autocast"]


def as_autocast(*tensors: Tensor) -> list[Tensor]:
    """Tensors in the type that torch's own matrix products would take them in: under autocast the lower one.

    A function of our own must ask for it: inside, some products are cast and others, those in place, are not.

    Examples
    --------
    >>> with torch.autocast("cpu", dtype=torch.bfloat16):
    ...     [each.dtype for each in as_autocast(torch.ones(1), torch.ones(1))]
    [torch.bfloat16, torch.bfloat16]
    """
    kind = tensors[0].device.type
    if not torch.is_autocast_enabled(kind):
        return list(tensors)
    dtype = torch.get_autocast_dtype(kind)
    return [tensor.to(dtype) for tensor in tensors]
