"""Scoring compiled with ``torch.compile``, which fuses memory-bound operations."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

__all__ = ["CompiledScoring"]

# Causal linear attention is compiled once per number of chunks; beyond this limit torch falls back to eager mode.
RECOMPILE_LIMIT = 64


class CompiledScoring:
    """Function of sequences, compiled on first use and again for other kinds of lengths.

    Parameters
    ----------
    run
        Function from ``[b, n]`` to ``[b, d]``.
    """

    def __init__(self, run: Callable[[Tensor], Tensor]) -> None:
        self.run, self.compiled = run, torch.compile(run, dynamic=True)

    def __call__(self, ids: Tensor) -> Tensor:
        """Run the compiled function; single sequences run eagerly, as compiling them gains nothing."""
        if len(ids) == 1:
            return self.run(ids)
        with torch._dynamo.config.patch(recompile_limit=RECOMPILE_LIMIT):
            return self.compiled(ids)
