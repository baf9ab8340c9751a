"""EASRec's search space; frozen, it is the compact network and every baseline that is a fixed point of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from nni.nas.nn.pytorch import ModelSpace, Repeat
from torch import Tensor, nn

from search_spaces.candidates import Candidates, KeptDimensions, make_candidates
from search_spaces.config import Choice, SpaceConfig
from search_spaces.core import CoreHead
from search_spaces.embedding import Batch
from search_spaces.network import EASRecNetwork
from search_spaces.stack import Stack

__all__ = ["EASRecSpace", "Layers"]


class Layers(Repeat):
    """Layers of the space, of which the first ``depth`` are taken (label ``depth``, Section II-D2)."""

    def __init__(self, config: SpaceConfig) -> None:
        super().__init__(
            lambda index: make_candidates(config, index + 1), (config.min_depth, config.layers), label="depth"
        )

    def forward(self, states: Tensor | None, batch: Batch) -> Tensor:
        """Dry run: all layers, each with its largest candidate."""
        for layer, block in enumerate(self.blocks, start=1):
            states = self.run_block(block, layer == len(self.blocks), states, batch)
        assert states is not None
        return self.output(states, batch)

    def run_block(self, block: nn.Module, is_last: bool, states: Tensor | None, batch: Batch) -> Tensor:
        """One layer's output; if the batch asks for the newest position only, the last one that runs gives no other."""
        context = replace(batch, last_only=False) if batch.last_only and not is_last else batch
        result: Tensor = block(states, context)
        return result

    def output(self, states: Tensor, batch: Batch) -> Tensor:
        """What a mixture over depths adds up: a layer's output, where the batch wants it."""
        return batch.newest(states) if batch.last_only and states.shape[1] == batch.mask.shape[1] else states


class EASRecSpace(EASRecNetwork, ModelSpace):
    """Supernet of candidate transformers over LinRec with data-aware gates, as an NNI model space.

    Labels of its two choices are ``pruning`` (one alpha for all layers) and ``depth`` (beta). :meth:`freeze` gives the
    compact network of a choice. Where the configuration leaves nothing to choose, it is such a network itself.

    Parameters
    ----------
    config
        Sizes and candidates.

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
        return CoreHead(config, None if config.is_fixed else KeptDimensions(config))

    def _newest_output(self, batch: Batch) -> Tensor:
        if isinstance(self.layers, Stack):
            return super()._newest_output(batch)
        if isinstance(getattr(self.layers, "origin", self.layers), Layers):
            output: Tensor = self.layers(None, replace(batch, last_only=True))
            return output
        return batch.newest(self.layers(None, batch))  # wrapped by a strategy that does not know how to ask for less

    def _kept(self, choice: Choice) -> Iterator[tuple[str, Tensor]]:
        if self.config.is_fixed:
            yield from super()._kept(choice)
            return
        width = self.config.hidden_width(choice.hidden_pruning)
        for name, weight in self.embedding.sliced_state(width).items():
            yield f"embedding.{name}", weight
        if self.head is not None:
            for name, weight in self.head.sliced_state(width).items():
                yield f"head.{name}", weight
        labels = [(hidden, inner) for hidden, inner in self.config.candidates]
        index = min(
            range(len(labels)),
            key=lambda i: abs(labels[i][0] - choice.hidden_pruning) + abs(labels[i][1] - choice.inner_pruning),
        )
        for layer, block in enumerate(self.blocks()[: choice.depth]):
            assert isinstance(block, Candidates)
            for name, weight in block.sliced_state(index).items():
                yield f"layers.blocks.{layer}.{name}", weight
