"""Recommendations after one history, for any network."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from easrec_nni.common.errors import UserError
from easrec_nni.data.ids import IdTable
from easrec_nni.evaluation.top_k import top_items
from search_spaces import EASRecNetwork

__all__ = ["item_numbers", "recommend_after"]


def item_numbers(items: Sequence[str], n_items: int, numbers_of: dict[str, int] | None) -> NDArray[np.int64]:
    """Item numbers of ids.

    Parameters
    ----------
    items
        Item ids of the dataset; item numbers as strings if ``numbers_of`` is None.
    n_items
        Number of the network's items.
    numbers_of
        Item number of each id; None without a dataset.

    Raises
    ------
    UserError
        An item is unknown.
    """
    if numbers_of is None:
        try:  # int() would read "1_0" and " 10" too
            numbers = np.fromiter(map(int, items), np.int64, len(items))
            is_plain = "".join(items).isascii() and all(map(str.isdigit, items))
        except (ValueError, OverflowError):
            is_plain = False
        if not is_plain:
            raise UserError(
                "without a dataset, items must be whole numbers: give the dataset, or item numbers"
            ) from None
    else:
        numbers = np.fromiter((numbers_of.get(name, 0) for name in items), np.int64, len(items))
    unknown = (numbers < 1) | (numbers > n_items)
    if unknown.any():
        name = items[int(unknown.argmax())][:100]
        raise UserError(f"item {name!r} is not among the network's {n_items} items: leave it out, or retrain with it")
    return numbers


@torch.inference_mode()
def recommend_after(
    network: EASRecNetwork, history: Sequence[str], k: int, unseen: bool, item_ids: IdTable | NDArray[np.str_] | None
) -> tuple[list[str], list[float]]:
    """Best items after a history, computed from its newest ``max_length`` interactions.

    Parameters
    ----------
    network
        Network in evaluation mode.
    history
        Item ids, oldest first.
    k
        Number of items to recommend.
    unseen
        Whether to leave out the history's items.
    item_ids
        Id of each item number; None: ids are item numbers.

    Returns
    -------
    items : list of str
        Ids, best first.
    scores : list of float
        Scores of these items.

    Raises
    ------
    UserError
        The history is empty or has an unknown item, k is out of range, or a score is NaN.
    """
    n_items = network.config.n_items
    if not history or not 1 <= k <= n_items:
        raise UserError(f"give a history of at least one item, and k from 1 to {n_items}")
    numbers_of = None if item_ids is None else {str(name): number for number, name in enumerate(item_ids) if number}
    numbers = torch.from_numpy(item_numbers(history, n_items, numbers_of))
    scores = network(numbers[None])
    if unseen:
        scores[:, numbers] = -torch.inf
    values, best = (rows[0] for rows in top_items(scores, k))
    count = int((values > -torch.inf).sum())
    names = best[:count].numpy() if item_ids is None else item_ids[best[:count].numpy()]
    return [str(name) for name in names], values[:count].tolist()
