"""Item features: values of each item, their embeddings, and their fusion with items."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from search_spaces.config import SpaceConfig

__all__ = ["Feature", "FusedFeatures", "ItemFeatures", "StreamFeatures", "make_features"]


class Feature(nn.Module):
    """One feature: the values of each item, and an embedding for each value.

    As in RecBole 1.2.1 (``FeatureSeqEmbLayer``, mean pooling), several values of an item are averaged, and no values
    give zeros. If all items have at max_values one value, row 0 is learned and means "none".

    Parameters
    ----------
    n_items
        Number of items in the catalogue, without padding.
    size
        Number of values, without padding.
    max_values
        Maximum number of values per item.
    width
        Width of the embeddings.
    """

    table: Tensor

    def __init__(self, n_items: int, size: int, max_values: int, width: int) -> None:
        super().__init__()
        self.register_buffer("table", torch.zeros(n_items + 1, max_values, dtype=torch.int64))
        self.values = nn.Embedding(size + 1, width, padding_idx=0 if max_values > 1 else None)

    def check(self, table: Tensor) -> None:
        """Check that a table fits this feature.

        Raises
        ------
        ValueError
            The table has another shape, values without an embedding, or values for padding.
        """
        largest = self.values.num_embeddings - 1
        if table.shape != self.table.shape:
            raise ValueError(f"the table has shape {list(table.shape)} instead of {list(self.table.shape)}")
        if table.is_floating_point() or table.min() < 0 or table.max() > largest:
            raise ValueError(f"the table's entries must be whole numbers from 0 to {largest}")
        if table[0].any():
            raise ValueError("row 0 of the table stands for padding, which has no values")

    def forward(self, ids: Tensor) -> Tensor:
        """Mean embedding of each item's values: ``[B, N]`` to ``[B, N, width]``."""
        values = self.table[ids]  # [B, N, max_values]
        if self.values.padding_idx is None:
            single: Tensor = self.values(values[..., 0])
            return single
        bags = values.flatten(0, 1)  # [B * N, max_values]
        mean = F.embedding_bag(bags, self.values.weight, mode="mean", padding_idx=self.values.padding_idx)
        return mean.view(*ids.shape, -1)


class ItemFeatures(nn.Module):
    """Features of a configuration; base of the ways to use them.

    The tables are buffers, saved with the weights, so that a saved network needs no dataset.

    Parameters
    ----------
    config
        Configuration with ``feature_sizes``, ``feature_values`` and ``hidden``.
    """

    def __init__(self, config: SpaceConfig) -> None:
        super().__init__()
        sizes = zip(config.feature_sizes, config.feature_values, strict=True)
        self.fields = nn.ModuleList(
            Feature(config.n_items, size, max_values, config.hidden) for size, max_values in sizes
        )
        self._has_tables = False

    def set_tables(self, tables: Sequence[Tensor]) -> None:
        """Set the values of all items.

        Parameters
        ----------
        tables
            ``[n_items + 1, max_values]`` for each feature: value numbers from 1, 0 = none; row 0 (padding) has none.

        Raises
        ------
        ValueError
            Their number or one of them does not fit; no table is changed then.
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
        """Feature embeddings of items: ``[B, N]`` to ``[B, N, features, d]``.

        Raises
        ------
        ValueError
            The tables are not set.
        """
        self._check_tables()
        return torch.stack([feature(ids) for feature in self.fields], dim=2)

    def _features(self) -> list[Feature]:
        return [cast(Feature, feature) for feature in self.fields]

    def _check_tables(self) -> None:
        """Raise if the tables are not set: the network would silently train without features."""
        tables = [feature.table for feature in self._features()]
        if self._has_tables or tables[0].is_meta:
            return
        if not any(table.any() for table in tables):
            raise ValueError("the item features are not set: call set_feature_tables, or load weights with tables")
        self._has_tables = True


class FusedFeatures(ItemFeatures):
    """SASRecF: items and features, concatenated and projected before positions are added."""

    def __init__(self, config: SpaceConfig) -> None:
        super().__init__(config)
        self.fuse = nn.Linear((1 + len(self.fields)) * config.hidden, config.hidden)

    def forward(self, items: Tensor, ids: Tensor) -> Tensor:
        """Fuse item embeddings ``[B, N, d]`` with features of items ``[B, N]``, ``[B, N, d]``."""
        return self.fuse(torch.cat([items, self.look_up(ids).flatten(2)], dim=-1))


class StreamFeatures(ItemFeatures):
    """FDSA: item vectors of the feature stream.

    Several features are weighted by vanilla attention, :math:`softmax(w^T ReLU(W a_i + b) + c)`. The weight of a single
    feature would be 1, so that it has no attention (RecBole keeps the unused weights).
    """

    def __init__(self, config: SpaceConfig) -> None:
        super().__init__(config)
        width = config.hidden
        several = len(self.fields) > 1
        self.energy = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 1)) if several else None

    def forward(self, ids: Tensor) -> Tensor:
        """Feature vectors of items: ``[B, N]`` to ``[B, N, d]``."""
        vectors = self.look_up(ids)  # [B, N, features, d]
        if self.energy is None:
            return vectors[:, :, 0]
        return (vectors * self.energy(vectors).softmax(dim=-2)).sum(dim=-2)


def make_features(config: SpaceConfig) -> FusedFeatures | StreamFeatures | None:
    """Build the module for ``config.features``."""
    if config.features == "fused":
        return FusedFeatures(config)
    return StreamFeatures(config) if config.features == "stream" else None
