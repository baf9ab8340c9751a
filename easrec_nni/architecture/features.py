"""Item features of a prepared dataset, as networks take them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from easrec_nni.common.errors import UserError
from easrec_nni.common.hints import did_you_mean
from easrec_nni.data.dataset import Dataset, ItemFeature
from search_spaces import EASRecSpace

__all__ = ["feature_space_fields", "feature_table", "set_features"]

MOST_VALUES = 8
"""Values of one item, above which a feature is taken for a text or a bag of tags, and must be asked for by name."""

LEAST_SHARED = 10
"""Items with a value, on average, below which a feature says hardly more than the item's number does."""


def feature_space_fields(
    dataset: Dataset, names: Sequence[str] | None = None, max_values: int = MOST_VALUES
) -> dict[str, Any]:
    """Fields of :class:`~search_spaces.SpaceConfig` that a dataset decides.

    Parameters
    ----------
    dataset
        Prepared with item features.
    names
        Which of them. By default those that are like genres: categories that many items share and of which an item has
        a few. If some have several values per item, those alone are taken, as RecBole's sample configurations for
        SASRecF and FDSA take ``class`` (MovieLens' genres) and leave the year of release out.
    max_values
        Largest number of values per item of a feature that is taken by default.

    Returns
    -------
    dict
        ``feature_names``, ``feature_sizes``, ``feature_values``.

    Raises
    ------
    UserError
        The dataset has no item features, none of that name, or none that is like genres.
    """
    if not dataset.item_features:
        raise UserError(
            f"the dataset {dataset.name} has no item features, which SASRecF and FDSA need: leave these systems "
            "(space.features) out, or prepare the dataset from RecBole's atomic files with an .item file"
        )
    chosen = list(names) if names else _like_genres(dataset, max_values)
    features = [_feature(dataset, name) for name in chosen]
    return {
        "feature_names": tuple(chosen),
        "feature_sizes": tuple(len(feature.vocabulary) - 1 for feature in features),
        "feature_values": tuple(_most_values(feature) for feature in features),
    }


def feature_table(feature: ItemFeature) -> Tensor:
    """Value numbers of each item, int64 ``[n_items + 1, most values]``, filled with 0 on the right.

    Examples
    --------
    >>> offsets = np.array([0, 0, 2, 2, 3])  # padding, then items with two values, none, one
    >>> feature_table(ItemFeature(offsets, np.array([1, 3, 2], np.int32), ("", "a", "b", "c")))
    tensor([[0, 0],
            [1, 3],
            [0, 0],
            [2, 0]])
    """
    counts = np.diff(feature.offsets)
    table = np.zeros((len(counts), _most_values(feature)), np.int64)
    columns = np.arange(len(feature.values)) - np.repeat(feature.offsets[:-1], counts)
    table[np.repeat(np.arange(len(counts)), counts), columns] = feature.values
    return torch.from_numpy(table)


def set_features(network: EASRecSpace, dataset: Dataset) -> None:
    """Put a dataset's features into a network that uses any; without effect on others.

    Raises
    ------
    UserError
        The dataset's features are not those that the network was made for.
    """
    config = network.config
    if config.features == "none":
        return
    own = feature_space_fields(dataset, config.feature_names)
    for field, value in own.items():
        expected = getattr(config, field)
        if expected and expected != value:
            raise UserError(
                f"the architecture has {field}={list(expected)}, the dataset {dataset.name} {list(value)}: give the "
                "dataset that the architecture was made for"
            )
    network.set_feature_tables([feature_table(dataset.item_features[name]) for name in own["feature_names"]])


def _feature(dataset: Dataset, name: str) -> ItemFeature:
    known = dataset.item_features
    if name not in known:
        hint = did_you_mean(name, known, otherwise=f"it has {', '.join(known)}")
        raise UserError(f"the dataset {dataset.name} has no item feature {name!r}; {hint}")
    if len(known[name].values) == 0:
        raise UserError(f"no item of the dataset {dataset.name} has a value of the feature {name!r}")
    return known[name]


def _most_values(feature: ItemFeature) -> int:
    return int(np.diff(feature.offsets).max())


def _like_genres(dataset: Dataset, max_values: int) -> list[str]:
    """Names of the features that are taken by default."""
    alike = {
        name: _most_values(feature)
        for name, feature in dataset.item_features.items()
        if 1 <= _most_values(feature) <= max_values
        and len(feature.values) >= LEAST_SHARED * (len(feature.vocabulary) - 1)
    }
    if not alike:
        raise UserError(
            f"none of the item features of {dataset.name} ({', '.join(dataset.item_features)}) is like a genre (a few "
            f"values per item, shared by {LEAST_SHARED} items on average): choose with space.feature_names: [...]"
        )
    return [name for name, most in alike.items() if most > 1] or list(alike)
