"""Training-free baselines that any trained system must beat."""

from __future__ import annotations

from typing import TYPE_CHECKING

from easrec_nni.study.systems.system import System

if TYPE_CHECKING:
    from torch import nn

    from easrec_nni.data.dataset import Dataset

__all__ = ["BASELINES"]


def _popularity(dataset: Dataset) -> nn.Module:
    from easrec_nni.study.systems.popularity import Popularity  # here: `easrec systems` must not import torch

    return Popularity(dataset)


def _item_knn(dataset: Dataset) -> nn.Module:
    from easrec_nni.study.systems.item_knn import ItemKNN  # here: `easrec systems` must not import torch

    return ItemKNN(dataset)


BASELINES = (
    System("popularity", "popularity", "floor", "items by training interactions", baseline=_popularity),
    System("itemknn", "item-kNN", "floor", "Sarwar et al., WWW 2001; cosine", baseline=_item_knn),
)
