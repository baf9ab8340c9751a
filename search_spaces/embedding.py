"""Embedding layer of items and positions (Eq. 3, 4), and the batch that it makes."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from search_spaces.config import SpaceConfig
from search_spaces.dropout import dropout
from search_spaces.features import FusedFeatures, StreamFeatures, make_features

__all__ = ["Batch", "SequenceEmbedding"]


class SequenceEmbedding(nn.Module):
    """Item and position embeddings; padding may be anywhere and never affects results.

    Only the newest ``window`` positions count: ``max_length`` interactions and, with masked items, the mask, whose
    embedding is the last row. The LayerNorm (not in Eq. 4, but without it post-norm blocks see vectors of norm 0.02)
    runs over the kept dimensions, so that a narrow candidate sees the same input as its compact network.
    """

    def __init__(self, config: SpaceConfig) -> None:
        super().__init__()
        self.config = config
        rows = config.n_items + (2 if config.objective == "masked" else 1)
        self.items = nn.Embedding(rows, config.item_width or config.hidden, padding_idx=0)
        self.widen = nn.Linear(config.item_width, config.hidden, bias=False) if config.item_width else None
        self.positions = nn.Embedding(config.window, config.hidden) if config.positions != "none" else None
        self.norm = nn.LayerNorm(config.hidden) if config.embedding_norm else None
        self.features = make_features(config)

    def embed(self, ids: Tensor) -> Batch:
        """Embed a batch of sequences.

        Parameters
        ----------
        ids
            ``[B, N]`` item numbers, 0 = padding, N of any size.
        """
        real = ids != 0
        after = real.long().flip(1).cumsum(1).flip(1)  # [B, N] interactions from here to the end, including this one
        mask = real & (after <= self.config.window)
        items = self.items(ids)  # [B, N, d]
        if self.config.head == "core":
            items = dropout(items, self.config.dropout, self.training)  # one mask for the encoder and the sum
        embedding = items if self.widen is None else self.widen(items)
        core_items = items if self.config.head == "core" else None  # not held in memory for other heads
        if isinstance(self.features, FusedFeatures):
            embedding = self.features(embedding, ids)
        features = self.features(ids) if isinstance(self.features, StreamFeatures) else None  # [B, N, d]
        if self.positions is not None:
            # [B, N], from 0: distance to the newest interaction, or number since the oldest visible one
            index = after - 1 if self.config.positions == "from_end" else mask.long().cumsum(1) - 1
            positions = self.positions(index.clamp(0, self.config.window - 1))
            embedding = embedding + positions
            features = features + positions if features is not None else None
        # Index of the last true entry: positions 1, 2, ... where the mask is true, of which the largest is the last.
        last = (mask.long() * torch.arange(1, ids.shape[1] + 1, device=ids.device)).argmax(dim=1)
        return Batch(self, embedding, mask, last, items=core_items, features=features)

    def normalised(self, embedding: Tensor, width: int) -> Tensor:
        """LayerNorm and dropout over the first ``width`` dimensions of an embedding."""
        embedding = embedding[..., :width]
        if self.norm is not None:
            embedding = F.layer_norm(
                embedding, (width,), self.norm.weight[:width], self.norm.bias[:width], self.norm.eps
            )
        return dropout(embedding, self.config.scaled_dropout(self.config.dropout, width), self.training)

    def sliced_state(self, width: int) -> dict[str, Tensor]:
        """Weights with only the first ``width`` dimensions of the blocks; a space with a choice has no features."""
        weights = self.state_dict(keep_vars=True)
        if self.widen is None:
            return {name: weight[..., :width] for name, weight in weights.items()}
        sliced = {"items.weight": weights.pop("items.weight"), "widen.weight": weights.pop("widen.weight")[:width]}
        return sliced | {name: weight[..., :width] for name, weight in weights.items()}


@dataclass
class Batch:
    """Embedded batch that passes through the layers.

    Attributes
    ----------
    embedding
        ``[B, N, d]``, items plus positions, before normalisation.
    mask
        ``[B, N]``, true at interactions.
    last
        ``[B]``, index of each sequence's newest interaction (0 without any).
    last_only
        Whether the current layer only needs to compute the newest position.
    items
        ``[B, N, d]``, items without positions, for CORE's head.
    features
        ``[B, N, d]``, features plus positions, before normalisation, if features are a separate stream.
    """

    source: SequenceEmbedding
    embedding: Tensor
    mask: Tensor
    last: Tensor
    last_only: bool = False
    items: Tensor | None = None
    features: Tensor | None = None
    _by_width: dict[int, Tensor] = field(default_factory=dict)

    def input(self, width: int) -> Tensor:
        """T^(0) for a hidden width, ``[B, N, width]``, cached so that all share one dropout mask."""
        if width not in self._by_width:
            self._by_width[width] = self.source.normalised(self.embedding, width)
        return self._by_width[width]

    def of_features(self) -> Batch:
        """Batch of the same sequences with the feature stream as the embedding."""
        assert self.features is not None
        return replace(self, embedding=self.features, features=None, _by_width={})

    def newest(self, states: Tensor) -> Tensor:
        """Select each sequence's newest position: ``[B, N, w]`` to ``[B, 1, w]``."""
        index = self.last[:, None, None].expand(-1, 1, states.shape[-1])
        return states.gather(1, index)
