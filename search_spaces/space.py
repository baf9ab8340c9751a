"""EASRec's search space as an NNI model space."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from nni.nas.nn.pytorch import ModelSpace, Repeat
from torch import Tensor, nn

from search_spaces.candidates import Candidates, WidthMasks, make_candidates
from search_spaces.config import Choice, SpaceConfig
from search_spaces.core import CoreHead
from search_spaces.embedding import Batch
from search_spaces.network import EASRecNetwork
from search_spaces.stack import Stack

__all__ = ["EASRecSpace", "Layers"]


class Layers(Repeat):
    """Layers of the space, of which the first ``depth`` run (label ``depth``, Section II-D2)."""

    def __init__(self, config: SpaceConfig) -> None:
        super().__init__(
            lambda index: make_candidates(config, index + 1), (config.min_depth, config.layers), label="depth"
        )

    def forward(self, states: Tensor | None, batch: Batch) -> Tensor:
        """Run all layers with their largest candidates (NNI's dry run)."""
        for layer, block in enumerate(self.blocks, start=1):
            states = self.run_block(block, layer == len(self.blocks), states, batch)
        assert states is not None
        return self.output(states, batch)

    def run_block(self, block: nn.Module, is_last: bool, states: Tensor | None, batch: Batch) -> Tensor:
        """Run one layer; the last one computes only the newest position if the batch says so."""
        context = replace(batch, last_only=False) if batch.last_only and not is_last else batch
        result: Tensor = block(states, context)
        return result

    def output(self, states: Tensor, batch: Batch) -> Tensor:
        """Term of a mixture over depths: a layer's output, at the newest position if requested."""
        return batch.newest(states) if batch.last_only and states.shape[1] == batch.mask.shape[1] else states


class EASRecSpace(EASRecNetwork, ModelSpace):
    """Supernet of candidate transformers with data-aware gates, as an NNI model space.

    Labels of its two choices are ``pruning`` (one alpha for all layers) and ``depth`` (beta). :meth:`freeze` returns
    the compact network of an architecture. With a fixed configuration the space is such a network itself.

    Parameters
    ----------
    config
        Sizes and candidates of the space.

    Examples
    --------
    >>> import torch
    >>> from search_spaces import EASRecSpace, SpaceConfig
    >>> config = SpaceConfig(n_items=50, max_length=10, hidden=16, inner=32, heads=2, layers=2)
    >>> space = EASRecSpace(config)
    >>> network = space.freeze({"hidden_pruning": 0.25, "inner_pruning": 0.5, "depth": 2}).eval()
    >>> network(torch.tensor([[0, 0, 3, 7], [1, 2, 3, 4]])).shape
    torch.Size([2, 51])
    """

    def _make_layers(self, config: SpaceConfig) -> nn.Module:
        return super()._make_layers(config) if config.is_fixed else Layers(config)

    def _make_head(self, config: SpaceConfig) -> CoreHead:
        return CoreHead(config, None if config.is_fixed else WidthMasks(config))

    def _newest_output(self, batch: Batch) -> Tensor:
        if isinstance(self.layers, Stack):
            return super()._newest_output(batch)
        if isinstance(getattr(self.layers, "origin", self.layers), Layers):
            output: Tensor = self.layers(None, replace(batch, last_only=True))
            return output
        return batch.newest(self.layers(None, batch))  # wrapped by a strategy without last_only

    def _sliced_weights(self, choice: Choice) -> Iterator[tuple[str, Tensor]]:
        if self.config.is_fixed:
            yield from super()._sliced_weights(choice)
            return
        width = self.config.hidden_width(choice.hidden_pruning)
        for name, weight in self.embedding.sliced_state(width).items():
            yield f"embedding.{name}", weight
        if self.narrow is not None:
            yield "narrow.weight", self.narrow.weight[:, :width]
        if self.head is not None:
            for name, weight in self.head.sliced_state(width).items():
                yield f"head.{name}", weight
        candidates = self.config.candidates
        index = min(  # the choice equals a candidate up to rounding, see SpaceConfig.choice
            range(len(candidates)),
            key=lambda i: abs(candidates[i][0] - choice.hidden_pruning) + abs(candidates[i][1] - choice.inner_pruning),
        )
        for layer, block in enumerate(self.blocks()[: choice.depth]):
            assert isinstance(block, Candidates)
            for name, weight in block.sliced_state(index).items():
                yield f"layers.blocks.{layer}.{name}", weight
