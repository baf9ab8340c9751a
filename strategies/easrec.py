"""EASRec's search (Algorithm 1) as an NNI one-shot strategy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nni.nas.evaluator.pytorch import LightningModule
from torch import Tensor

from strategies.constraint import CostTable
from strategies.differentiable import DifferentiableModule, DifferentiableStrategy
from strategies.selection import Selection

__all__ = ["EASRec", "EASRecModule"]


class EASRecModule(DifferentiableModule):
    """Algorithm 1: L_t is updated before each step of alpha and beta and scales the constraint."""

    def __init__(
        self, training_module: LightningModule, strategy: DifferentiableStrategy, selection: Selection
    ) -> None:
        super().__init__(training_module, strategy, selection)
        self.depth_now = self._strongest_depth()

    def _architecture_step(self, batch: Any, batch_idx: int) -> None:
        self.depth_now = self._strongest_depth()
        super()._architecture_step(batch, batch_idx)

    def _strongest_depth(self) -> int:
        """L_t, the depth of the largest beta; the deepest if equal, so that the search starts at L."""
        logits = self.selection.logits[self.constraint.depth_label].detach().tolist()
        return max(d for d, logit in zip(self.constraint.depths, logits, strict=True) if logit == max(logits))

    def resource(self, weights: Mapping[str, Tensor]) -> Tensor:
        """Constraint L_RC of Eq. 15."""
        return self.constraint(weights, self.depth_now)

    def resource_factor(self) -> float:
        """Factor L_t / L, or 1 for the static constraint."""
        return self.constraint.factor(self.depth_now)

    def search_state(self) -> dict[str, Any]:
        """State for resuming: the iteration and L_t."""
        return {**super().search_state(), "depth_now": self.depth_now}

    def load_search_state(self, state: Mapping[str, Any]) -> None:
        """Restore the iteration and L_t."""
        super().load_search_state(state)
        self.depth_now = state["depth_now"]


class EASRec(DifferentiableStrategy):
    r"""EASRec: elastic architecture search under a dynamic resource constraint.

    Follows Algorithm 1 of "EASRec: Elastic Architecture Search for Efficient Long-term Sequential Recommender
    Systems". Alpha and beta are unconstrained logits of Gumbel-softmax choices. Decisions where the paper is silent or
    misprinted: noise is :math:`-\log(-\log u)`; one draw per update serves all layers and the constraint; costs are
    normalised and cumulative over layers, as beta would otherwise get hardly any gradient from Eq. 15.

    Parameters
    ----------
    cost_table, lambda_, arch_learning_rate, arch_every, temperature, gradient_clip
        See :class:`~strategies.differentiable.DifferentiableStrategy`.
    dynamic
        Whether the constraint has the factor L_t / L.
    noise
        Whether draws have Gumbel noise.

    Examples
    --------
    >>> EASRec(cost_table={}, lambda_=0.1)
    EASRec(lambda=0.1, arch_every=1, dynamic=True, noise=True)
    """

    module_type = EASRecModule

    def __init__(self, cost_table: CostTable, *, dynamic: bool = True, noise: bool = True, **options: Any) -> None:
        super().__init__(cost_table, **options)
        self.dynamic, self.noise = dynamic, noise

    def make_selection(self, options: dict[str, list[Any]]) -> Selection:
        """Create a selection with one Gumbel-softmax draw for all layers."""
        return Selection(options, noise=self.noise)

    def extra_repr(self) -> str:
        """Parameters for NNI's ``repr`` of a strategy."""
        return f"{super().extra_repr()}, dynamic={self.dynamic}, noise={self.noise}"
