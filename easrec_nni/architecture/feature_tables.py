"""Lookup tables of item features from a prepared dataset."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from easrec_nni.architecture.features import feature_space_fields, most_values
from easrec_nni.common.errors import UserError
from easrec_nni.data.dataset import Dataset, ItemFeature
from search_spaces.network import EASRecNetwork

__all__ = ["feature_table", "set_features"]


def feature_table(feature: ItemFeature) -> Tensor:
    """Value numbers of each item, int64 ``[n_items + 1, values]``, padded with 0 on the right.

    Examples
    --------
    >>> offsets = np.array([0, 0, 2, 2, 3])  # padding, then items with two, no and one value
    >>> feature_table(ItemFeature(offsets, np.array([1, 3, 2], np.int32), ("", "a", "b", "c")))
    tensor([[0, 0],
            [1, 3],
            [0, 0],
            [2, 0]])
    """
    counts = np.diff(feature.offsets)
    table = np.zeros((len(counts), most_values(feature)), np.int64)
    # Column of each value: its index in the flat list minus that of its item's first value.
    columns = np.arange(len(feature.values)) - np.repeat(feature.offsets[:-1], counts)
    table[np.repeat(np.arange(len(counts)), counts), columns] = feature.values
    return torch.from_numpy(table)


def set_features(network: EASRecNetwork, dataset: Dataset) -> None:
    """Set a dataset's features in a network; no effect on networks without features.

    Raises
    ------
    UserError
        The dataset's features are not those of the network's configuration.
    """
    config = network.config
    if config.features == "none":
        return
    fields = feature_space_fields(dataset, config.feature_names)
    for field, value in fields.items():
        expected = getattr(config, field)
        if expected and expected != value:
            raise UserError(
                f"the architecture has {field}={list(expected)}, the dataset {dataset.name} {list(value)}: give the "
                "dataset that the architecture was made for"
            )
    network.set_feature_tables([feature_table(dataset.item_features[name]) for name in fields["feature_names"]])
