"""Items and positions to vectors (Eq. 3, 4), and what a layer may look up while a batch passes through."""

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
    """Item plus position embeddings; padding is found anywhere and never enters a result.

    Only the newest ``window`` of them are looked at: ``max_length`` interactions, and a mask where items are masked,
    which has an embedding of its own, the last. The LayerNorm (not in Eq. 4, but without it the
    post-norm blocks see vectors of norm 0.02) runs over the kept dimensions, so that a narrow candidate sees what
    the compact network will see.
    """

    def __init__(self, config: SpaceConfig) -> None:
        super().__init__()
        self.config = config
        rows = config.n_items + (2 if config.objective == "masked" else 1)
        self.items = nn.Embedding(rows, config.hidden, padding_idx=0)
        self.positions = nn.Embedding(config.window, config.hidden) if config.positions != "none" else None
        self.norm = nn.LayerNorm(config.hidden) if config.embedding_norm else None
        self.features = make_features(config)

    def begin(self, ids: Tensor) -> Batch:
        """Look a batch up.

        Parameters
        ----------
        ids
            ``[B, N]`` item numbers, 0 = padding, N of any size.
        """
        real = ids != 0
        after = real.long().flip(1).cumsum(1).flip(1)  # interactions from here to the end, this one included
        mask = real & (after <= self.config.window)
        items = self.items(ids)  # [B, N, d]
        if self.config.head == "core":
            items = dropout(items, self.config.dropout, self.training)  # one draw for the encoder and for the sum
        embedding = items
        kept = items if self.config.head == "core" else None  # what nobody reads must not be held in memory
        if isinstance(self.features, FusedFeatures):
            embedding = self.features(embedding, ids)
        features = self.features(ids) if isinstance(self.features, StreamFeatures) else None  # [B, N, d]
        if self.positions is not None:
            index = after - 1 if self.config.positions == "from_end" else mask.long().cumsum(1) - 1
            positions = self.positions(index.clamp(0, self.config.window - 1))
            embedding = embedding + positions
            features = features + positions if features is not None else None
        last = (mask.long() * torch.arange(1, ids.shape[1] + 1, device=ids.device)).argmax(dim=1)
        return Batch(self, embedding, mask, last, items=kept, features=features)

    def normalised(self, embedding: Tensor, width: int) -> Tensor:
        """First ``width`` dimensions of an embedding, normalised over themselves."""
        embedding = embedding[..., :width]
        if self.norm is not None:
            embedding = F.layer_norm(
                embedding, (width,), self.norm.weight[:width], self.norm.bias[:width], self.norm.eps
            )
        return dropout(embedding, self.config.dropout, self.training)

    def sliced_state(self, width: int) -> dict[str, Tensor]:
        """Weights when only the first ``width`` columns are kept and stored; a space to cut from has no features."""
        return {name: weight[..., :width] for name, weight in self.state_dict(keep_vars=True).items()}


@dataclass
class Batch:
    """A batch on its way through the layers.

    Attributes
    ----------
    embedding
        ``[B, N, d]``, items plus positions before normalisation.
    mask
        ``[B, N]``, true where an interaction is.
    last
        ``[B]``, index of each sequence's newest interaction (0 where there is none).
    last_only
        Whether the layer that runs needs to compute the newest position only.
    items
        ``[B, N, d]``, items without positions, for CORE's head.
    features
        ``[B, N, d]``, features plus positions before normalisation, if they are a stream of their own.
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
        """T^(0) for a candidate of hidden width ``width``, ``[B, N, width]``; one dropout draw for all who ask."""
        if width not in self._by_width:
            self._by_width[width] = self.source.normalised(self.embedding, width)
        return self._by_width[width]

    def of_features(self) -> Batch:
        """The same sequences with their feature stream as the embedding."""
        assert self.features is not None
        return replace(self, embedding=self.features, features=None, _by_width={})

    def newest(self, states: Tensor) -> Tensor:
        """Pick each sequence's newest position: ``[B, N, w]`` to ``[B, 1, w]``."""
        index = self.last[:, None, None].expand(-1, 1, states.shape[-1])
        return states.gather(1, index)
