"""Features of items: which values each item has, their embeddings, and how they meet the items'."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from search_spaces.config import SpaceConfig

__all__ = ["Feature", "FusedFeatures", "ItemFeatures", "StreamFeatures", "make_features"]


class Feature(nn.Module):
    """One feature: which values each item has, and an embedding for each value.

    As in RecBole 1.2.1 (``FeatureSeqEmbLayer``, mean pooling), an item with several values has the mean of their
    embeddings, zeros where it has none. Where no item has more than one value, row 0 is learned and stands for "none".

    Parameters
    ----------
    n_items
        Items of the catalogue, padding not counted.
    size
        Number of values, padding not counted.
    most
        Largest number of values that an item has.
    width
        Of the embeddings.
    """

    table: Tensor

    def __init__(self, n_items: int, size: int, most: int, width: int) -> None:
        super().__init__()
        self.register_buffer("table", torch.zeros(n_items + 1, most, dtype=torch.int64))
        self.values = nn.Embedding(size + 1, width, padding_idx=0 if most > 1 else None)

    def check(self, table: Tensor) -> None:
        """Refuse a table that is not of this feature.

        Raises
        ------
        ValueError
            It has another shape, values that have no embedding, or values of padding.
        """
        largest = self.values.num_embeddings - 1
        if table.shape != self.table.shape:
            raise ValueError(f"the table has shape {list(table.shape)} instead of {list(self.table.shape)}")
        if table.is_floating_point() or table.min() < 0 or table.max() > largest:
            raise ValueError(f"the table's entries must be whole numbers from 0 to {largest}")
        if table[0].any():
            raise ValueError("row 0 of the table stands for padding, which has no values")

    def forward(self, ids: Tensor) -> Tensor:
        """Item numbers ``[B, N]`` to ``[B, N, width]``."""
        values = self.table[ids]  # [B, N, most]
        if self.values.padding_idx is None:
            single: Tensor = self.values(values[..., 0])
            return single
        bags = values.flatten(0, 1)  # [B * N, most]
        mean = F.embedding_bag(bags, self.values.weight, mode="mean", padding_idx=self.values.padding_idx)
        return mean.view(*ids.shape, -1)


class ItemFeatures(nn.Module):
    """All features of a configuration; what is done with them is the subclasses' matter.

    The tables are buffers: they travel with the weights, so that a saved network needs no dataset.

    Parameters
    ----------
    config
        ``feature_sizes``, ``feature_values`` and ``hidden``.
    """

    def __init__(self, config: SpaceConfig) -> None:
        super().__init__()
        sizes = zip(config.feature_sizes, config.feature_values, strict=True)
        self.fields = nn.ModuleList(Feature(config.n_items, size, most, config.hidden) for size, most in sizes)
        self._known_to_be_filled = False

    def set_tables(self, tables: Sequence[Tensor]) -> None:
        """Put the items' values in.

        Parameters
        ----------
        tables
            For each feature ``[n_items + 1, most]``: value numbers from 1, 0 = none; row 0 (padding) has none.

        Raises
        ------
        ValueError
            Their number or one of them does not fit; then none is put in.
        """
        if len(tables) != len(self.fields):
            raise ValueError(f"the network has {len(self.fields)} item features, not {len(tables)}")
        for number, (feature, table) in enumerate(zip(self._features(), tables, strict=True)):
            try:
                feature.check(table)
            except ValueError as error:
                raise ValueError(f"item feature {number}: {error}") from None
        for feature, table in zip(self._features(), tables, strict=True):
            feature.table.copy_(table)

    def look_up(self, ids: Tensor) -> Tensor:
        """Embeddings of the items' features: ``[B, N]`` to ``[B, N, features, d]``.

        Raises
        ------
        ValueError
            The tables were never put in.
        """
        self._check_filled()
        return torch.stack([feature(ids) for feature in self.fields], dim=2)

    def _features(self) -> list[Feature]:
        return [cast(Feature, feature) for feature in self.fields]

    def _check_filled(self) -> None:
        """Without its tables a network would train as if no item had features, and nobody would see it."""
        tables = [feature.table for feature in self._features()]
        if self._known_to_be_filled or tables[0].is_meta:
            return
        if not any(table.any() for table in tables):
            raise ValueError("the items' features are not known: call set_feature_tables, or load weights with tables")
        self._known_to_be_filled = True


class FusedFeatures(ItemFeatures):
    """SASRecF: items and features concatenated and brought to one width, before positions are added."""

    def __init__(self, config: SpaceConfig) -> None:
        super().__init__(config)
        self.fuse = nn.Linear((1 + len(self.fields)) * config.hidden, config.hidden)

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
        several = len(self.fields) > 1
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
