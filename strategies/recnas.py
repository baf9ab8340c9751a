"""RecNAS: annealed soft selection from which inferior options are dropped while the search runs."""

from __future__ import annotations

from typing import Any

import torch

from strategies.constraint import CostTable
from strategies.differentiable import DifferentiableModule, DifferentiableStrategy
from strategies.selection import Selection

__all__ = ["PrunedSelection", "RecNAS", "RecNASModule"]


class PrunedSelection(Selection):
    """Softmax at a temperature over options of which some have been dropped.

    A dropped option's logit is minus infinity, the logarithm of its probability: its weight and gradient are exactly 0
    from then on, it is never the strongest, and what saves the logits saves that it was dropped.
    """

    def __init__(self, options: dict[str, list[Any]]) -> None:
        super().__init__(options, noise=False)

    @torch.no_grad()
    def drop(self, below: float) -> None:
        """Drop options whose weight at the temperature is less than a share of the strongest one's, never that one."""
        for logits in self.logits.values():
            weights = (logits / self.temperature).softmax(-1)
            logits[weights < below * weights.max()] = -torch.inf

    def left(self) -> dict[str, list[Any]]:
        """Options that have not been dropped, by label."""
        return {
            label: [name for name, logit in zip(names, self.logits[label].tolist(), strict=True) if logit > -torch.inf]
            for label, names in self.options.items()
        }


class RecNASModule(DifferentiableModule):
    """Drops options after each step of alpha and beta."""

    settings: RecNAS
    selection: PrunedSelection

    def _architecture_step(self, batch: Any, batch_idx: int) -> None:
        super()._architecture_step(batch, batch_idx)
        self.selection.drop(self.settings.drop_below)


class RecNAS(DifferentiableStrategy):
    """Annealed soft selection with pruning of candidates, after ReCNAS (Peng, Li, Shang and Jiao, IEEE TNNLS 2022).

    What is published where we could read it is the abstract of "ReCNAS: Resource-Constrained Neural Architecture Search
    Based on Differentiable Annealing and Dynamic Pruning", TNNLS 35(2), 2805-2819; no program was found. It says:

    1. an elastic, densely connected layer-wise space that takes depth apart from the search of operations;
    2. "group annealing and progressive pruning", which "steadily forces the architecture parameters close to binary
       distribution and progressively prunes the inferior operations";
    3. an architecture generation that "prunes the redundant channel throughout the search based on dynamic
       programming", under a given limit of FLOPs or latency.

    EASRec's paper, which compares with it on its own space, says "annealing and channel pruning". Formulas, schedules,
    thresholds and the groups are not in what we have. Decided here, for the space that all strategies share:

    * 1 is the space's: depth is a choice of its own there.
    * Annealing: a softmax without noise at a temperature that falls, so that weights become binary. Both choices share
      the schedule; it must come near 0 in the iterations that the search has, or nothing is annealed.
    * Pruning of operations and of channels are one, because the space's candidates are channel widths: after each step
      of alpha and beta, candidates and depths whose weight is below ``drop_below`` times the strongest one's are
      dropped for good. The strongest never is. As the temperature falls, ever smaller gaps suffice.
    * Resource: the expected cost under the weights, static, times lambda, instead of dynamic programming: that divides
      a budget among layers that have widths of their own, and here all layers have one width.

    Parameters
    ----------
    cost_table, lambda_, arch_learning_rate, arch_every, temperature, gradient_clip
        See :class:`~strategies.differentiable.DifferentiableStrategy`.
    drop_below
        Share of the strongest option's weight under which an option is dropped, from 0 (never) to less than 1.

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
        """A softmax whose options can be dropped."""
        return PrunedSelection(options)

    def extra_repr(self) -> str:
        """One readable line, as NNI's strategies print themselves."""
        return f"{super().extra_repr()}, drop_below={self.drop_below}"
