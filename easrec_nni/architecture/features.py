"""Item features of a prepared dataset as fields of a search space."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from easrec_nni.common.errors import UserError
from easrec_nni.common.hints import did_you_mean
from easrec_nni.data.dataset import Dataset, ItemFeature

__all__ = ["feature_space_fields", "most_values"]

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
        "feature_values": tuple(most_values(feature) for feature in features),
    }


def most_values(feature: ItemFeature) -> int:
    """Largest number of values that an item has."""
    return int(np.diff(feature.offsets).max())


def _feature(dataset: Dataset, name: str) -> ItemFeature:
    known = dataset.item_features
    if name not in known:
        hint = did_you_mean(name, known, otherwise=f"it has {', '.join(known)}")
        raise UserError(f"the dataset {dataset.name} has no item feature {name!r}; {hint}")
    if len(known[name].values) == 0:
        raise UserError(f"no item of the dataset {dataset.name} has a value of the feature {name!r}")
    return known[name]


def _like_genres(dataset: Dataset, max_values: int) -> list[str]:
    """Names of the features that are taken by default."""
    alike = {
        name: most_values(feature)
        for name, feature in dataset.item_features.items()
        if 1 <= most_values(feature) <= max_values
        and len(feature.values) >= LEAST_SHARED * (len(feature.vocabulary) - 1)
    }
    if not alike:
        raise UserError(
            f"none of the item features of {dataset.name} ({', '.join(dataset.item_features)}) is like a genre (a few "
            f"values per item, shared by {LEAST_SHARED} items on average): choose with space.feature_names: [...]"
        )
    return [name for name, most in alike.items() if most > 1] or list(alike)
