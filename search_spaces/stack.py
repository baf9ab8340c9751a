"""Layers of a fixed network: one stack of blocks, or one for items and one for features."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn

from search_spaces.block import Block
from search_spaces.config import SpaceConfig
from search_spaces.embedding import Batch

__all__ = ["Stack", "TwoStreams", "make_stack"]


class Stack(nn.Module):
    """Stack of transformer blocks."""

    def __init__(self, config: SpaceConfig) -> None:
        super().__init__()
        blocks = (Block(config, layer, config.hidden, config.inner) for layer in range(1, config.layers + 1))
        self.blocks = nn.ModuleList(blocks)

    def forward(self, states: Tensor | None, batch: Batch, last_only: bool = False) -> Tensor:
        """Run all blocks.

        Parameters
        ----------
        states
            Input of the first block; None: the batch's embedding.
        batch
            Embedded batch.
        last_only
            Whether the last block computes queries, W_O and its feed-forward network only at the newest position.

        Returns
        -------
        Tensor
            ``[B, N, d]``, or ``[B, 1, d]`` of the newest position.
        """
        for block in self.blocks[:-1]:
            states = block(states, batch)
        output: Tensor = self.blocks[-1](states, replace(batch, last_only=True) if last_only else batch)
        return output


class TwoStreams(Stack):
    """FDSA (Zhang et al., IJCAI 2019): separate stacks for items and features, joined at the end.

    As in RecBole 1.2.1, the streams share the position embeddings, and one LayerNorm serves the items' embedding, the
    features' and the joined output.
    """

    def __init__(self, config: SpaceConfig) -> None:
        super().__init__(config)
        self.features = Stack(config)
        self.join = nn.Linear(2 * config.hidden, config.hidden)

    def forward(self, states: Tensor | None, batch: Batch, last_only: bool = False) -> Tensor:
        """Run both stacks and join their outputs; see :meth:`Stack.forward`."""
        streams = [super().forward(states, batch, last_only), self.features(None, batch.of_features(), last_only)]
        joined: Tensor = self.join(torch.cat(streams, dim=-1))
        return batch.source.normalised(joined, joined.shape[-1])


def make_stack(config: SpaceConfig) -> Stack:
    """Build the layers of a fixed configuration."""
    return TwoStreams(config) if config.features == "stream" else Stack(config)
