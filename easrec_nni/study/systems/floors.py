"""Sanity floors: what needs no training and must be beaten."""

from __future__ import annotations

from typing import TYPE_CHECKING

from easrec_nni.study.systems.system import System

if TYPE_CHECKING:
    from torch import nn

    from easrec_nni.data.dataset import Dataset

__all__ = ["FLOORS"]


def _popularity(dataset: Dataset) -> nn.Module:
    from easrec_nni.study.systems.popularity import Popularity  # here: `easrec systems` need not wait for torch

    return Popularity(dataset)


def _item_knn(dataset: Dataset) -> nn.Module:
    from easrec_nni.study.systems.item_knn import ItemKNN  # here: `easrec systems` need not wait for torch

    return ItemKNN(dataset)


FLOORS = (
    System("popularity", "popularity", "floor", "items by training interactions", floor=_popularity),
    System("itemknn", "item-kNN", "floor", "Sarwar et al., WWW 2001; cosine", floor=_item_knn),
)
