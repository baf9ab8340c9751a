"""Histories of a dataset, for comparing it with its source."""

from __future__ import annotations

from easrec_nni.data import Dataset


def histories(dataset: Dataset) -> dict[str, list[str]]:
    """Items of each user in time order, by the source's ids."""
    return {
        str(user): dataset.item_ids[dataset.items[dataset.offsets[row] : dataset.offsets[row + 1]]].tolist()
        for row, user in enumerate(dataset.user_ids)
    }
