"""Soft choices of an NNI model space that share one :class:`~strategies.selection.Selection`.

In NNI's mixed modules every layer draws its own noise, and the resource penalty has no gradient. These wrappers read
the weights that were drawn for the whole update.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from nni.mutable import Categorical
from nni.nas.nn.pytorch import LayerChoice, ModelSpace, Repeat
from nni.nas.oneshot.pytorch.supermodule.base import BaseSuperNetModule
from torch import Tensor, nn

from strategies.selection import Selection

__all__ = ["MixedChoice", "MixedDepth", "space_choices", "wrap"]

# Candidates of less weight, and layers after which less weight remains, are skipped.
NEGLIGIBLE_WEIGHT = 1e-9


class _Mixed(BaseSuperNetModule):
    """Wrapper of a module (``origin``) whose weights come from a selection."""

    origin: Any  # LayerChoice or Repeat; Any, as nn.Module has neither label nor blocks

    def __init__(self, origin: nn.Module, selection: Selection) -> None:
        super().__init__()
        self.origin = origin
        self._selection = (selection,)  # in a tuple, so that its parameters are not registered in the network

    @property
    def selection(self) -> Selection:
        """Selection with the draws of this update."""
        return self._selection[0]

    @property
    def weights(self) -> Tensor:
        """Drawn weights of this module's options, ``[options]``."""
        return self.selection.weights[self.origin.label]

    def resample(self, memo: dict[str, Any]) -> dict[str, Any]:
        """Do nothing, as the strategy draws once for all modules."""
        return {}

    def export(self, memo: dict[str, Any]) -> dict[str, Any]:
        """Export the strongest option of this module's choice."""
        label = self.origin.label
        return {} if label in memo else {label: self.selection.sample()[label]}

    def export_probs(self, memo: dict[str, Any]) -> dict[str, Any]:
        """Export the probability of each option."""
        label = self.origin.label
        if label in memo:
            return {}
        options, values = self.selection.options[label], self.selection.probabilities()[label].tolist()
        return {label: dict(zip(options, values, strict=True))}


class MixedChoice(_Mixed):
    """Weighted sum of a layer's candidates (Eq. 11, over i)."""

    def forward(self, *inputs: Any) -> Tensor:
        """Mixture ``sum_i p_i T_i``, or only the strongest candidate if the selection is hard."""
        if self.selection.hard:
            return self.run(self.selection.running(self.origin.label), *inputs)
        if hasattr(self.origin, "mix"):  # spaces with a cheaper mixture than summing full outputs
            return self.origin.mix(self.weights, *inputs)
        terms = [(i, weight) for i, weight in enumerate(self.weights) if float(weight.detach()) > NEGLIGIBLE_WEIGHT]
        return torch.stack([weight * self.run(i, *inputs) for i, weight in terms]).sum(0)

    def run(self, index: int, *inputs: Any) -> Tensor:
        """Run one candidate."""
        origin = self.origin
        return origin.run(index, *inputs) if hasattr(origin, "run") else origin[origin.names[index]](*inputs)


class MixedDepth(_Mixed):
    """Weighted sum of the outputs after each allowed depth (Eq. 11, over j)."""

    def forward(self, states: Any, *context: Any) -> Tensor:
        """Mixture ``sum_j q_j T^(j)``, or only the strongest depth if the selection is hard."""
        depths = self.selection.options[self.origin.label]
        if self.selection.hard:
            deepest = depths[self.selection.running(self.origin.label)]
            for depth in range(1, deepest + 1):
                states = self.run_block(depth, deepest, states, *context)
            return self.output(states, *context)
        weights = dict(zip(depths, self.weights.unbind(), strict=True))
        deepest = self._deepest({depth: float(weight.detach()) for depth, weight in weights.items()})
        total: Any = 0
        for depth in range(1, deepest + 1):
            states = self.run_block(depth, deepest, states, *context)
            if depth in weights:
                total = total + weights[depth] * self.output(states, *context)
        return total

    def run_block(self, depth: int, deepest: int, states: Any, *context: Any) -> Any:
        """Run layer ``depth`` (from 1); spaces may compute less in the deepest layer."""
        block = self.origin.blocks[depth - 1]
        if hasattr(self.origin, "run_block"):
            return self.origin.run_block(block, depth == deepest, states, *context)
        return block(states, *context)

    def output(self, states: Any, *context: Any) -> Any:
        """Term of the mixture for a layer's output; spaces may use a part of it."""
        return self.origin.output(states, *context) if hasattr(self.origin, "output") else states

    def _deepest(self, weights: Mapping[int, float]) -> int:
        """Deepest layer with a non-negligible weight at or after it."""
        return max(
            depth
            for depth in range(1, len(self.origin.blocks) + 1)
            if sum(weight for later, weight in weights.items() if later >= depth) >= NEGLIGIBLE_WEIGHT
        )


def space_choices(space: ModelSpace) -> dict[str, list[Any]]:
    """Options of a space's choices by label.

    Raises
    ------
    TypeError
        A choice is not categorical, so that it cannot be mixed.
    """
    choices = {}
    for label, mutable in space.simplify().items():
        if not isinstance(mutable, Categorical):
            raise TypeError(
                f"the choice {label!r} is a {type(mutable).__name__}; only categorical choices can be mixed"
            )
        choices[label] = list(mutable.values)
    return choices


def wrap(
    module: nn.Module,
    memo: dict[str, Any],
    selection: Selection,
    choice_type: type[MixedChoice] = MixedChoice,
    depth_type: type[MixedDepth] = MixedDepth,
) -> nn.Module | bool | None:
    """NNI mutation hook: the soft choice, True to keep the module, None for the next hook."""
    wrapped = memo.setdefault("wrapped", set())
    if id(module) in wrapped:
        return True
    if isinstance(module, LayerChoice | Repeat):
        wrapped.add(id(module))
        return (choice_type if isinstance(module, LayerChoice) else depth_type)(module, selection)
    return None
