"""Features of items: which values each item has, their embeddings, and how they meet the items'."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from search_spaces.config import SpaceConfig

__all__ = ["FusedFeatures", "ItemFeatures", "StreamFeatures", "make_features"]


class ItemFeatures(nn.Module):
    """Tables of the items' feature values, and an embedding for each value.

    The tables are buffers: they travel with the weights, so that a saved network needs no dataset. As in RecBole 1.2.1
    (``FeatureSeqEmbLayer``), an item with several values of a feature has the mean of their embeddings, zeros where it
    has none; where no item has more than one value, row 0 is learned and stands for "none".

    Parameters
    ----------
    config
        ``feature_sizes``, ``feature_values`` and ``hidden``.
    """

    def __init__(self, config: SpaceConfig) -> None:
        super().__init__()
        self.width = config.hidden
        self.embeddings = nn.ModuleList()
        for number, (size, values) in enumerate(zip(config.feature_sizes, config.feature_values, strict=True)):
            self.register_buffer(f"table{number}", torch.zeros(config.n_items + 1, values, dtype=torch.int64))
            self.embeddings.append(nn.Embedding(size + 1, config.hidden, padding_idx=0 if values > 1 else None))
        self._known_to_be_filled = False

    @property
    def tables(self) -> list[Tensor]:
        """Value numbers of each feature, ``[n_items + 1, most values]``, 0 = none; row 0 (padding) has none."""
        return [self.get_buffer(f"table{number}") for number in range(len(self.embeddings))]

    def set_tables(self, tables: Sequence[Tensor]) -> None:
        """Put the value numbers in.

        Parameters
        ----------
        tables
            For each feature ``[n_items + 1, most values]``, from 1, 0 = none; row 0 (padding) has none.

        Raises
        ------
        ValueError
            A table has another shape, values that have no embedding, or values of padding.
        """
        if len(tables) != len(self.embeddings):
            raise ValueError(f"the network has {len(self.embeddings)} item features, not {len(tables)}")
        for number, (own, given) in enumerate(zip(self.tables, tables, strict=True)):
            largest = self.embeddings[number].num_embeddings - 1
            if given.shape != own.shape:
                raise ValueError(f"feature {number}: the table is {list(given.shape)} instead of {list(own.shape)}")
            if given.is_floating_point() or given.min() < 0 or given.max() > largest:
                raise ValueError(f"feature {number}: values must be whole numbers from 0 to {largest}")
            if given[0].any():
                raise ValueError(f"feature {number}: row 0 stands for padding, which has no values")
            own.copy_(given)

    def look_up(self, ids: Tensor) -> Tensor:
        """Embeddings of the items' features: ``[B, N]`` to ``[B, N, features, d]``.

        Raises
        ------
        ValueError
            The tables were never put in.
        """
        self._check_filled()
        vectors = []
        for table, embedding in zip(self.tables, self.embeddings, strict=True):
            values = table[ids].flatten(0, 1)  # [B * N, most values]
            if embedding.padding_idx is None:
                mean = embedding(values[:, 0])
            else:
                mean = F.embedding_bag(values, embedding.weight, mode="mean", padding_idx=embedding.padding_idx)
            vectors.append(mean)
        return torch.stack(vectors, dim=1).view(*ids.shape, len(vectors), self.width)

    def _check_filled(self) -> None:
        """Without its tables a network would train as if no item had features, and nobody would see it."""
        if self._known_to_be_filled or self.tables[0].is_meta:
            return
        if not any(table.any() for table in self.tables):
            raise ValueError("the items' features are not known: call set_feature_tables, or load weights with tables")
        self._known_to_be_filled = True


class FusedFeatures(ItemFeatures):
    """SASRecF: items and features concatenated and brought to one width, before positions are added."""

    def __init__(self, config: SpaceConfig) -> None:
        super().__init__(config)
        self.fuse = nn.Linear((1 + len(self.embeddings)) * config.hidden, config.hidden)

    def forward(self, items: Tensor, ids: Tensor) -> Tensor:
        """Item embeddings ``[B, N, d]`` and item numbers ``[B, N]`` to ``[B, N, d]``."""
        return self.fuse(torch.cat([items, self.look_up(ids).flatten(2)], dim=-1))


class StreamFeatures(ItemFeatures):
    """FDSA: the vector of an item in the feature stream.

    Several features are weighted by vanilla attention, :math:`softmax(w^T ReLU(W a_i + b) + c)`; of a single one the
    weight would be 1, so that there the attention and its weights are left out (RecBole keeps them unused).
    """

    def __init__(self, config: SpaceConfig) -> None:
        super().__init__(config)
        width = config.hidden
        several = len(self.embeddings) > 1
        self.energy = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 1)) if several else None

    def forward(self, ids: Tensor) -> Tensor:
        """Item numbers ``[B, N]`` to ``[B, N, d]``."""
        vectors = self.look_up(ids)  # [B, N, features, d]
        if self.energy is None:
            return vectors[:, :, 0]
        return (vectors * self.energy(vectors).softmax(dim=-2)).sum(dim=-2)


def make_features(config: SpaceConfig) -> FusedFeatures | StreamFeatures | None:
    """What ``config.features`` asks for."""
    if config.features == "fused":
        return FusedFeatures(config)
    return StreamFeatures(config) if config.features == "stream" else None
