"""RecNAS: annealed soft selection that drops inferior options during the search."""

from __future__ import annotations

from typing import Any

import torch

from strategies.constraint import CostTable
from strategies.differentiable import DifferentiableModule, DifferentiableStrategy
from strategies.selection import Selection

__all__ = ["PrunedSelection", "RecNAS", "RecNASModule"]


class PrunedSelection(Selection):
    """Softmax at a temperature over the remaining options.

    The logit of a dropped option is minus infinity, so that its weight and gradient are exactly 0, it is never the
    strongest, and checkpoints of the logits include it.
    """

    def __init__(self, options: dict[str, list[Any]]) -> None:
        super().__init__(options, noise=False)

    @torch.no_grad()
    def drop(self, below: float) -> None:
        """Drop options whose weight is less than a share ``below`` of the strongest one's.

        Those of the strongest architecture that the argmax is restricted to remain: a budget stays within reach.
        """
        strongest = {label: self.argmax(label) for label in self.logits}
        for label, logits in self.logits.items():
            weights = (logits / self.temperature).softmax(-1)
            dropped = weights < below * weights.max()
            dropped[strongest[label]] = False
            logits[dropped] = -torch.inf

    def remaining(self) -> dict[str, list[Any]]:
        """Remaining options by label."""
        return {
            label: [name for name, logit in zip(names, self.logits[label].tolist(), strict=True) if logit > -torch.inf]
            for label, names in self.options.items()
        }


class RecNASModule(DifferentiableModule):
    """Search module that drops options after each step of alpha and beta."""

    settings: RecNAS
    selection: PrunedSelection

    def _architecture_step(self, batch: Any, batch_idx: int) -> None:
        super()._architecture_step(batch, batch_idx)
        self.selection.drop(self.settings.drop_below)


class RecNAS(DifferentiableStrategy):
    """Annealed selection with pruning, after ReCNAS (Peng, Li, Shang and Jiao, TNNLS 2022).

    Only the abstract was accessible to us: "ReCNAS: Resource-Constrained Neural Architecture Search
    Based on Differentiable Annealing and Dynamic Pruning", IEEE TNNLS 35(2), 2805-2819; no program was found. It says:

    1. an elastic, densely connected layer-wise space that takes depth apart from the search of operations;
    2. "group annealing and progressive pruning", which "steadily forces the architecture parameters close to binary
       distribution and progressively prunes the inferior operations";
    3. an architecture generation that "prunes the redundant channel throughout the search based on dynamic
       programming", under a given limit of FLOPs or latency.

    EASRec's paper, which compares with it on its own space, says "annealing and channel pruning". Formulas, schedules,
    thresholds and groups are unknown to us. Decisions here, for the space common to all strategies:

    * 1 is given by the space, in which depth is a separate choice.
    * Annealing: a softmax without noise at a falling temperature, so that weights become binary. Both choices share the
      schedule, which must come near 0 within the search's iterations.
    * Pruning of operations and of channels coincide, as the space's candidates are channel widths: after each step of
      alpha and beta, candidates and depths whose weight is below ``drop_below`` times the strongest one's are dropped
      for good. As the temperature falls, ever smaller gaps suffice.
    * Resource: the static expected cost under the weights times lambda, instead of dynamic programming, which divides a
      budget among layers of different widths; here all layers have the same width.

    Parameters
    ----------
    cost_table, lambda_, arch_learning_rate, arch_every, temperature, gradient_clip
        See :class:`~strategies.differentiable.DifferentiableStrategy`.
    drop_below
        Share of the strongest option's weight below which an option is dropped, in [0, 1); 0: never.

    Examples
    --------
    >>> RecNAS(cost_table={}, lambda_=0.1)
    RecNAS(lambda=0.1, arch_every=1, drop_below=0.1)
    """

    module_type = RecNASModule

    def __init__(self, cost_table: CostTable, *, drop_below: float = 0.1, **options: Any) -> None:
        super().__init__(cost_table, **options)
        if not 0 <= drop_below < 1:
            raise ValueError(f"drop_below must be from 0 to less than 1, got {drop_below}")
        self.drop_below = drop_below

    def make_selection(self, options: dict[str, list[Any]]) -> Selection:
        """Create a selection whose options can be dropped."""
        return PrunedSelection(options)

    def extra_repr(self) -> str:
        """Parameters for NNI's ``repr`` of a strategy."""
        return f"{super().extra_repr()}, drop_below={self.drop_below}"
