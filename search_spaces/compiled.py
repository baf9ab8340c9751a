"""Scoring as machine code that torch.compile makes: operations that only pass numbers through memory are fused."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

__all__ = ["CompiledScoring"]

# Causal linear attention is compiled once for every number of chunks. Beyond this torch goes on without its compiler.
FORMS = 64


class CompiledScoring:
    """A function of sequences, compiled when it is first called and again for lengths of another kind.

    Parameters
    ----------
    run
        Maps ``[b, n]`` to ``[b, d]``.
    """

    def __init__(self, run: Callable[[Tensor], Tensor]) -> None:
        self.run, self.compiled = run, torch.compile(run, dynamic=True)

    def __call__(self, ids: Tensor) -> Tensor:
        """As the function, which itself runs single sequences: they would be compiled once more, to gain nothing."""
        if len(ids) == 1:
            return self.run(ids)
        with torch._dynamo.config.patch(recompile_limit=FORMS):
            return self.compiled(ids)
