"""Selection of a dataset's item features, as fields of a search space."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from easrec_nni.common.errors import UserError
from easrec_nni.common.hints import did_you_mean
from easrec_nni.data.dataset import Dataset, ItemFeature

__all__ = ["feature_space_fields", "most_values"]

MOST_VALUES = 8
"""Values per item above which a feature is taken for text or tags and must be named to be used."""

LEAST_SHARED = 10
"""Mean items per value below which a feature hardly tells more than the item's number."""


def feature_space_fields(
    dataset: Dataset, names: Sequence[str] | None = None, max_values: int = MOST_VALUES
) -> dict[str, Any]:
    """Fields of :class:`~search_spaces.SpaceConfig` that depend on a dataset.

    Parameters
    ----------
    dataset
        Dataset prepared with item features.
    names
        Names of the features to use. By default those like genres: categories shared by many items, with few values
        per item. If some have several values per item, only those are used, as RecBole's sample configurations for
        SASRecF and FDSA use ``class`` (MovieLens' genres) but not the year of release.
    max_values
        Maximum number of values per item of a default feature.

    Returns
    -------
    dict
        ``feature_names``, ``feature_sizes``, ``feature_values``.

    Raises
    ------
    UserError
        The dataset has no item features, none of that name, or none like genres.
    """
    if not dataset.item_features:
        raise UserError(
            f"the dataset {dataset.name} has no item features, which SASRecF and FDSA need: leave these systems "
            "(space.features) out, or prepare the dataset from RecBole's atomic files with an .item file"
        )
    selected = list(names) if names else _like_genres(dataset, max_values)
    features = [_feature(dataset, name) for name in selected]
    return {
        "feature_names": tuple(selected),
        "feature_sizes": tuple(len(feature.vocabulary) - 1 for feature in features),
        "feature_values": tuple(most_values(feature) for feature in features),
    }


def most_values(feature: ItemFeature) -> int:
    """Largest number of values per item."""
    return int(np.diff(feature.offsets).max())


def _feature(dataset: Dataset, name: str) -> ItemFeature:
    features = dataset.item_features
    if name not in features:
        hint = did_you_mean(name, features, otherwise=f"it has {', '.join(features)}")
        raise UserError(f"the dataset {dataset.name} has no item feature {name!r}; {hint}")
    if len(features[name].values) == 0:
        raise UserError(f"no item of the dataset {dataset.name} has a value of the feature {name!r}")
    return features[name]


def _like_genres(dataset: Dataset, max_values: int) -> list[str]:
    """Names of the default features."""
    similar = {
        name: most_values(feature)
        for name, feature in dataset.item_features.items()
        if 1 <= most_values(feature) <= max_values
        and len(feature.values) >= LEAST_SHARED * (len(feature.vocabulary) - 1)
    }
    if not similar:
        raise UserError(
            f"none of the item features of {dataset.name} ({', '.join(dataset.item_features)}) is like a genre (few "
            f"values per item, each shared by {LEAST_SHARED} items on average): choose with space.feature_names: [...]"
        )
    return [name for name, most in similar.items() if most > 1] or list(similar)
