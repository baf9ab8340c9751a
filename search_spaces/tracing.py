"""Whether somebody records what is computed, to count, export or compile it."""

from __future__ import annotations

import torch

__all__ = ["is_traced"]


def is_traced() -> bool:
    """Whether operators are being recorded: they are to see the plain form, in which each product is one of torch's."""
    return bool(torch.jit.is_tracing() or torch.compiler.is_compiling())  # type: ignore[attr-defined]
