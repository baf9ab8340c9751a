"""GumbelDARTS: independent Gumbel-softmax draws per layer (SNAS, FBNet)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from strategies.differentiable import DifferentiableStrategy
from strategies.selection import Selection
from strategies.supernet import MixedChoice

__all__ = ["GumbelDARTS", "LayerwiseChoice", "LayerwiseSelection"]


class LayerwiseSelection(Selection):
    """Architecture parameters shared by all layers, with independent draws per layer.

    Attributes
    ----------
    by_layer
        ``[layers, options]`` by label: mixture weights of each layer. A label without registered layers (the depth) has
        one row.
    weights
        Mean of each label's rows, ``[options]``.
    """

    def __init__(self, options: dict[str, list[Any]]) -> None:
        super().__init__(options, noise=True)
        self.layers = dict.fromkeys(options, 0)
        self.by_layer = {label: weights[None] for label, weights in self.weights.items()}

    def add_layer(self, label: str) -> int:
        """Register a layer and return its row, which holds the probabilities before the first draw."""
        layer = self.layers[label]
        self.layers[label] += 1
        self.by_layer[label] = self.weights[label].expand(self.layers[label], -1)
        return layer

    def draw(self, differentiable: bool = True) -> dict[str, Tensor]:
        """Draw for every layer and return the means, for the constraint."""
        with torch.set_grad_enabled(differentiable):
            self.by_layer = {
                label: torch.stack([self._soften(logits) for _ in range(max(1, self.layers[label]))])
                for label, logits in self.logits.items()
            }
            self.weights = {label: rows.mean(0) for label, rows in self.by_layer.items()}
        return self.weights

    def draw_evenly(self) -> dict[str, Tensor]:
        """Draw one path for all layers, which is a network of the space."""
        weights = super().draw_evenly()
        self.by_layer = {label: row.expand(max(1, self.layers[label]), -1) for label, row in weights.items()}
        return weights


class LayerwiseChoice(MixedChoice):
    """Candidates of a layer, mixed with the layer's own draw."""

    def __init__(self, origin: nn.Module, selection: LayerwiseSelection) -> None:
        super().__init__(origin, selection)
        self.layer = selection.add_layer(self.origin.label)

    @property
    def weights(self) -> Tensor:
        """Draw of this layer, ``[options]``."""
        selection = self.selection
        assert isinstance(selection, LayerwiseSelection)
        return selection.by_layer[self.origin.label][self.layer]


class GumbelDARTS(DifferentiableStrategy):
    r"""Gumbel-softmax search with independent draws per layer.

    Sources: SNAS (Xie et al., ICLR 2019) and FBNet (Wu et al., CVPR 2019). As in both, and in NNI's ``GumbelDARTS``,
    every mixed module draws its own noise, the temperature falls, and the constraint is static (no L_t / L). Alpha is
    one vector for all layers, as defined by the space (the widths of the final network must match); layers can still
    draw different candidates in one update. The depth is a single module with one draw.

    The expected cost uses the draws that mix the network, as in FBNet (whose latency is a sum over layers of
    ``mask * latency``): with a shared alpha, this is the cost under the mean of the layers' draws,
    :math:`\sum_j q_j \sum_i \bar p_i cost_{ij}` with :math:`\bar p = \frac{1}{L} \sum_l p^{(l)}`. The cost under
    :math:`softmax(\alpha)` would have less noise than EASRec's, so that this control would differ in one more respect.

    Differs from the publications: cost is added with weight lambda, as in SNAS (FBNet multiplies the loss by a power of
    the latency's logarithm); weights are trained on training batches and alpha and beta on validation batches, as in
    FBNet and EASRec (SNAS trains all on the same); draws are soft at every temperature.

    Parameters
    ----------
    cost_table, lambda_, arch_learning_rate, arch_every, temperature, gradient_clip
        See :class:`~strategies.differentiable.DifferentiableStrategy`.

    Examples
    --------
    >>> GumbelDARTS(cost_table={}, lambda_=0.1)
    GumbelDARTS(lambda=0.1, arch_every=1)
    """

    choice_type = LayerwiseChoice

    def make_selection(self, options: dict[str, list[Any]]) -> Selection:
        """Create a selection with independent draws per layer."""
        return LayerwiseSelection(options)
