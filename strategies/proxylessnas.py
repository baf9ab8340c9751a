"""ProxylessNAS: single sampled paths for weights, two competing paths for alpha and beta."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from strategies.constraint import CostTable
from strategies.differentiable import DifferentiableModule, DifferentiableStrategy
from strategies.selection import NO_TEMPERATURE, Selection
from strategies.supernet import MixedChoice, MixedDepth

__all__ = ["PathChoice", "PathDepth", "PathSelection", "ProxylessModule", "ProxylessNAS"]


class PathSelection(Selection):
    """Architecture parameters with sampled paths and their binary gates.

    Attributes
    ----------
    paths
        Sampled options of this update, by label. The first is active (gate 1); in an update of alpha and beta a second
        one follows (gate 0).
    weights
        One-hot gates by label, ``[options]``.
    path_probabilities
        Softmax over the sampled paths by label, ``[options]``, 0 for all others.
    """

    def __init__(self, options: dict[str, list[Any]]) -> None:
        super().__init__(options, noise=False)
        self.paths: dict[str, list[int]] = {}
        self.path_probabilities: dict[str, Tensor] = {}
        self._mass: dict[str, Tensor] = {}

    def draw(self, differentiable: bool = True) -> dict[str, Tensor]:
        """Sample one path per choice; with gradients two without replacement, one of them active."""
        self.weights = {}
        with torch.set_grad_enabled(differentiable):
            for label, logits in self.logits.items():
                self._sample(label, logits, 2 if differentiable else 1)
        return self.weights

    def draw_evenly(self) -> dict[str, Tensor]:
        """Draw one path of each choice uniformly."""
        weights = super().draw_evenly()
        self.paths = {label: [int(gates.argmax())] for label, gates in weights.items()}
        return weights

    def _sample(self, label: str, logits: Tensor, number: int) -> None:
        # Gumbel top-k: the largest noisy logits are a sample without replacement by probability. multinomial() would
        # fail if a probability underflows.
        noise = -torch.empty_like(logits).exponential_().log()
        paths = (logits.detach() + noise).topk(min(number, len(logits))).indices
        soft = logits[paths].softmax(-1)
        active = int(torch.multinomial(soft.detach(), 1))
        hard = torch.zeros_like(soft)
        hard[active] = 1
        # Straight-through: the value is the binary gate, the gradient of alpha_i is sum_j dL/dg_j p_j (delta_ij - p_i).
        gates = hard + (soft - soft.detach())
        self.weights[label] = torch.zeros_like(logits).index_put((paths,), gates)
        self.path_probabilities[label] = torch.zeros_like(logits).index_put((paths,), soft)
        self._mass[label] = logits.detach()[paths].logsumexp(-1)
        others = [int(path) for i, path in enumerate(paths) if i != active]
        self.paths[label] = [int(paths[active]), *others]

    @torch.no_grad()
    def rescale(self) -> None:
        """Shift the updated logits after a step, so that other options keep their probabilities."""
        for label, logits in self.logits.items():
            paths = self.paths[label]
            # Same log-sum-exp as before the step: the paths' total probability is unchanged.
            logits[paths] += self._mass[label] - logits[paths].logsumexp(-1)


def _sampled_paths(module: MixedChoice | MixedDepth) -> tuple[int, list[int]]:
    """Active path of a module's choice, and the other sampled paths."""
    assert isinstance(module.selection, PathSelection)
    active, *others = module.selection.paths[module.origin.label]
    return active, others


class PathChoice(MixedChoice):
    """Choice that runs the active candidate, and a competing one for its gate's gradient."""

    def forward(self, *inputs: Any) -> Tensor:
        """Output of the active candidate, or of the strongest if the selection is hard."""
        if self.selection.hard:
            return super().forward(*inputs)
        active, others = _sampled_paths(self)
        output = self.run(active, *inputs)
        if not others:
            return output
        output = self.weights[active] * output
        for other in others:
            with torch.no_grad():  # its gate is 0, so that nothing inside gets a gradient
                alternative = self.run(other, *inputs)
            output = output + self.weights[other] * alternative
        return output


class PathDepth(MixedDepth):
    """Depth that runs layers up to the active and, for its gate's gradient, a competing one."""

    def forward(self, states: Any, *context: Any) -> Tensor:
        """Output after the active depth, or after the strongest if the selection is hard."""
        if self.selection.hard:
            return super().forward(states, *context)
        depths = self.selection.options[self.origin.label]
        active, others = _sampled_paths(self)
        paths = {depths[path]: path for path in (active, *others)}
        total: Any = 0
        for depth in range(1, max(paths) + 1):
            # Beyond the active depth only the other gate has a gradient.
            with torch.set_grad_enabled(torch.is_grad_enabled() and depth <= depths[active]):
                states = self.run_block(depth, max(paths), states, *context)
            if depth in paths:
                output = self.output(states, *context)
                total = total + self.weights[paths[depth]] * (output if depth == depths[active] else output.detach())
        return total if others else self.output(states, *context)


class ProxylessModule(DifferentiableModule):
    """Search module with one sampled path for weights, two for alpha and beta."""

    selection: PathSelection

    def resource(self, weights: Mapping[str, Tensor]) -> Tensor:
        """Expected cost under the sampled paths' probabilities."""
        return self.constraint.expected(self.selection.path_probabilities)

    def _architecture_step(self, batch: Any, batch_idx: int) -> None:
        super()._architecture_step(batch, batch_idx)
        self.selection.rescale()

    def configure_architecture_optimizers(self) -> torch.optim.Optimizer:
        """Adam without momentum, as by the authors: momentum would move unsampled paths too."""
        return torch.optim.Adam(self.logits.parameters(), lr=self.settings.arch_learning_rate, betas=(0.0, 0.999))


class ProxylessNAS(DifferentiableStrategy):
    r"""Path-level binarised search by gradient (Cai, Zhu and Han, ICLR 2019).

    Every iteration one path is sampled with probability :math:`softmax(\alpha)` and the weights take a step on it, so
    that only one candidate per layer is run and held in memory (the paper's section 3.2). For alpha and beta two paths
    are sampled as if there were no others (section 3.2.1): one of them is active, both gates get gradients, and
    :math:`\partial L / \partial \alpha_i = \sum_j \partial L / \partial g_j \, p_j (\delta_{ij} - p_i)`. After the step
    both logits are shifted, so that other options keep their probabilities.

    This is the estimator that the paper describes. The authors' program offers it as an option; its default runs all
    paths for their gates' gradients. The published one is used here, as it needs the memory of one candidate and the
    time of two, independent of their number.

    The resource term is ``lambda * E[cost]``, added to the loss (section 3.3.1; NNI's own has no gradient). Its
    expectation is over the two paths, with all others masked, as in the authors' program. Alpha is shared by all
    layers, so that a path is one candidate for all layers and one depth: every network sampled for the weights is in
    the space.

    Differs from the publication: in the warm-up, common to all strategies here, paths are drawn uniformly; Adam for
    alpha and beta shares only the missing momentum with the authors'.

    Parameters
    ----------
    cost_table, lambda_, arch_learning_rate, arch_every, gradient_clip
        See :class:`~strategies.differentiable.DifferentiableStrategy`.
    temperature
        Ignored, as paths are sampled at temperature 1; for a signature common to all strategies.

    Examples
    --------
    >>> ProxylessNAS(cost_table={}, lambda_=0.1)
    ProxylessNAS(lambda=0.1, arch_every=1)
    """

    module_type = ProxylessModule
    choice_type = PathChoice
    depth_type = PathDepth

    def __init__(
        self, cost_table: CostTable, *, temperature: Callable[[int], float] | None = None, **options: Any
    ) -> None:
        super().__init__(cost_table, temperature=NO_TEMPERATURE, **options)

    def make_selection(self, options: dict[str, list[Any]]) -> Selection:
        """Create a selection with sampled paths."""
        return PathSelection(options)
