"""Integrity check of a dataset folder: its arrays against its manifest."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from easrec_nni.data.dataset import Dataset
from easrec_nni.data.ids import IdTable

__all__ = ["dataset_problem"]


def dataset_problem(dataset: Dataset) -> str | None:
    """Describe what is wrong with a dataset's arrays, in a few words; None if nothing is.

    Shapes and types must be the manifest's, and no number may point outside of what it counts: the arrays come from
    files, which may be damaged or come from elsewhere, and are used as indices without a further check.
    """
    counts = dataset.manifest.counts
    expected: dict[str, tuple[NDArray[np.generic], Any, tuple[int, ...]]] = {
        "items": (dataset.items, np.int32, (counts.interactions,)),
        "offsets": (dataset.offsets, np.int64, (counts.users + 1,)),
        "times": (dataset.times, dataset.times.dtype, (counts.interactions,)),
    }
    for name, ids, size in (
        ("user_ids", dataset.user_ids, counts.users),
        ("item_ids", dataset.item_ids, counts.items + 1),
    ):
        if isinstance(ids, IdTable):
            expected[f"offsets of {name}"] = (ids.offsets, np.int64, (size + 1,))
            expected[f"text of {name}"] = (ids.text, np.uint8, ids.text.shape[:1])
        else:
            expected[name] = (ids, ids.dtype, (size,))
    split, k = dataset.manifest.split, dataset.manifest.negatives.k
    for name, negatives in dataset._negatives.items():
        expected[name] = (negatives, np.int32, (split.rows(name.rpartition("_")[2]), k))
    if dataset.evaluated_users is not None:
        expected["evaluated_users"] = (dataset.evaluated_users, np.int64, dataset.evaluated_users.shape[:1])
    for name, feature in dataset.item_features.items():
        expected[f"feature {name}"] = (feature.offsets, np.int64, (counts.items + 2,))
        expected[f"values of feature {name}"] = (feature.values, np.int32, feature.values.shape[:1])
    for name, (array, kind, shape) in expected.items():
        if array.dtype != kind or array.shape != shape:
            return f"{name} is {array.dtype}{list(array.shape)} instead of {np.dtype(kind)}{list(shape)}"
    if dataset.evaluated_users is not None and not _within(dataset.evaluated_users, 0, counts.users - 1):
        return "evaluated_users has numbers of no user"
    return _numbers_problem(dataset)


def _numbers_problem(dataset: Dataset) -> str | None:
    """Describe numbers that are out of range; None if there are none."""
    counts, interactions = dataset.manifest.counts, len(dataset.items)
    if not _divide(dataset.offsets, interactions):
        return "offsets do not divide the interactions"
    for name, ids in (("user_ids", dataset.user_ids), ("item_ids", dataset.item_ids)):
        if isinstance(ids, IdTable) and not _divide(ids.offsets, len(ids.text)):
            return f"the offsets of {name} do not divide their text"
    if not _within(dataset.items, 1, counts.items):
        return "items has numbers outside the catalogue"
    for name, array in dataset._negatives.items():
        if not _within(array, 0, counts.items):
            return f"{name} has numbers outside the catalogue"
    return _features_problem(dataset)


def _features_problem(dataset: Dataset) -> str | None:
    """Describe numbers of item features that are out of range; None if there are none."""
    for name, feature in dataset.item_features.items():
        if not _divide(feature.offsets, len(feature.values)):
            return f"the offsets of feature {name} do not divide its values"
        if not _within(feature.values, 1, len(feature.vocabulary) - 1):
            return f"feature {name} has values outside its vocabulary"
    return None


def _divide(offsets: NDArray[np.int64], length: int) -> bool:
    """Whether offsets cut an array of `length` numbers into consecutive parts."""
    return bool(offsets[0] == 0 and offsets[-1] == length and np.all(np.diff(offsets) >= 0))


def _within(array: NDArray[np.integer[Any]], lowest: int, highest: int) -> bool:
    return not array.size or bool(array.min() >= lowest and array.max() <= highest)
