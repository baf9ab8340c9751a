"""ProxylessNAS: one path at a time, and two that compete for alpha."""

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
    """Architecture parameters from which paths are sampled, and the binary gates of these.

    Attributes
    ----------
    paths
        Options that take part in this update, by label. The first is the active one, whose gate is 1; in an update of
        alpha and beta another one follows, whose gate is 0.
    weights
        Gates by label, ``[options]``, one-hot.
    among_paths
        Probabilities by label, ``[options]``: a softmax over the paths as if there were no others.
    """

    def __init__(self, options: dict[str, list[Any]]) -> None:
        super().__init__(options, noise=False)
        self.paths: dict[str, list[int]] = {}
        self.among_paths: dict[str, Tensor] = {}
        self._mass: dict[str, Tensor] = {}

    def draw(self, differentiable: bool = True) -> dict[str, Tensor]:
        """Sample one path by its probability; or, with gradients, two without replacement, one of which is active."""
        self.weights = {}
        with torch.set_grad_enabled(differentiable):
            for label, logits in self.logits.items():
                self._sample(label, logits, 2 if differentiable else 1)
        return self.weights

    def draw_evenly(self) -> dict[str, Tensor]:
        """One path, whatever the probabilities."""
        weights = super().draw_evenly()
        self.paths = {label: [int(gates.argmax())] for label, gates in weights.items()}
        return weights

    def _sample(self, label: str, logits: Tensor, number: int) -> None:
        # The largest of logits with Gumbel noise are a sample without replacement by probability. multinomial() would
        # fail where a probability has become too small for a float.
        noise = -torch.empty_like(logits).exponential_().log()
        paths = (logits.detach() + noise).topk(min(number, len(logits))).indices
        soft = logits[paths].softmax(-1)
        active = int(torch.multinomial(soft.detach(), 1))
        hard = torch.zeros_like(soft)
        hard[active] = 1
        # The value is the binary gate, the gradient of alpha_i is sum_j dL/dg_j p_j (delta_ij - p_i).
        gates = hard + (soft - soft.detach())
        self.weights[label] = torch.zeros_like(logits).index_put((paths,), gates)
        self.among_paths[label] = torch.zeros_like(logits).index_put((paths,), soft)
        self._mass[label] = logits.detach()[paths].logsumexp(-1)
        others = [int(path) for i, path in enumerate(paths) if i != active]
        self.paths[label] = [int(paths[active]), *others]

    @torch.no_grad()
    def rescale(self) -> None:
        """After a step: move the updated logits together, so that the others' probabilities are as before it."""
        for label, logits in self.logits.items():
            paths = self.paths[label]
            logits[paths] += self._mass[label] - logits[paths].logsumexp(-1)


def _paths_of(module: MixedChoice | MixedDepth) -> tuple[int, list[int]]:
    """The active path of a module's choice, and the others that take part."""
    assert isinstance(module.selection, PathSelection)
    active, *others = module.selection.paths[module.origin.label]
    return active, others


class PathChoice(MixedChoice):
    """Runs the active candidate; and the one that competes with it, for the gradient of its gate alone."""

    def forward(self, *inputs: Any) -> Tensor:
        """Output of the active candidate; of the strongest while the selection is hard."""
        if self.selection.hard:
            return super().forward(*inputs)
        active, others = _paths_of(self)
        output = self.run(active, *inputs)
        if not others:
            return output
        output = self.weights[active] * output
        for other in others:
            with torch.no_grad():  # its gate is 0: nothing behind it gets a gradient
                alternative = self.run(other, *inputs)
            output = output + self.weights[other] * alternative
        return output


class PathDepth(MixedDepth):
    """Runs the layers up to the active depth; and up to the competing one, for the gradient of its gate alone."""

    def forward(self, states: Any, *context: Any) -> Tensor:
        """Output after the active depth; after the strongest while the selection is hard."""
        if self.selection.hard:
            return super().forward(states, *context)
        depths = self.selection.options[self.origin.label]
        active, others = _paths_of(self)
        paths = {depths[path]: path for path in (active, *others)}
        total: Any = 0
        for depth in range(1, max(paths) + 1):
            # Behind the active depth all gradients but that of the other gate are 0.
            with torch.set_grad_enabled(torch.is_grad_enabled() and depth <= depths[active]):
                states = self.run_block(depth, max(paths), states, *context)
            if depth in paths:
                output = self.output(states, *context)
                total = total + self.weights[paths[depth]] * (output if depth == depths[active] else output.detach())
        return total if others else self.output(states, *context)


class ProxylessModule(DifferentiableModule):
    """Steps of the weights on one sampled path, of alpha and beta on two."""

    selection: PathSelection

    def resource(self, weights: Mapping[str, Tensor]) -> Tensor:
        """Expected cost under the probabilities among the paths."""
        return self.constraint.expected(self.selection.among_paths)

    def _architecture_step(self, batch: Any, batch_idx: int) -> None:
        super()._architecture_step(batch, batch_idx)
        self.selection.rescale()

    def configure_architecture_optimizers(self) -> torch.optim.Optimizer:
        """Adam without momentum, as the authors have it: with it, paths that were not sampled would move too."""
        return torch.optim.Adam(self.logits.parameters(), lr=self.settings.arch_learning_rate, betas=(0.0, 0.999))


class ProxylessNAS(DifferentiableStrategy):
    r"""Path-level binarised search by gradient (Cai, Zhu and Han, ICLR 2019).

    Every iteration one path is sampled with probability :math:`softmax(\alpha)` and the weights take a step on it: one
    candidate per layer is run and kept in memory, whatever their number (the paper's section 3.2). For alpha and beta
    two paths are sampled as if there were no others (section 3.2.1): one of them is active, both gates get gradients,
    and :math:`\partial L / \partial \alpha_i = \sum_j \partial L / \partial g_j \, p_j (\delta_{ij} - p_i)`. After
    the step both logits are moved together, so that the probabilities of the others stay.

    That is the estimator which the paper describes; the authors' program has it as an option beside one that runs all
    paths to get their gates' gradients, and by default takes the latter. It is taken here because it is what is
    published, and because it needs the memory of one candidate and the time of two, whatever their number.

    The resource term is ``lambda * E[cost]``, added to the loss (section 3.3.1; NNI's own has no gradient). Its
    expectation is over the two paths too: the rest is masked as if it did not exist, as in the authors' program. Alpha
    is shared by all layers, so that a path is one candidate for all of them, and another is one depth: every network
    that is sampled for the weights is one of the space.

    Differs from the publication: in the warm-up, whose length all strategies here share, paths are drawn evenly; of
    Adam for alpha and beta only the missing momentum is the authors'.

    Parameters
    ----------
    cost_table, lambda_, arch_learning_rate, arch_every, gradient_clip
        See :class:`~strategies.differentiable.DifferentiableStrategy`.
    temperature
        Taken so that all strategies are called alike, and not used: paths are sampled at temperature 1.

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
        """Sampled paths and their gates."""
        return PathSelection(options)
