"""The best items after one history, by any network."""

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
    """Numbers of items.

    Parameters
    ----------
    items
        Ids of the source; item numbers as texts where no dataset is known.
    n_items
        Items of the network.
    numbers_of
        Number of each id, None where no dataset is known.

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
                "items must be whole numbers where no dataset is known: give the dataset, or numbers"
            ) from None
    else:
        numbers = np.fromiter((numbers_of.get(name, 0) for name in items), np.int64, len(items))
    wrong = (numbers < 1) | (numbers > n_items)
    if wrong.any():
        name = items[int(wrong.argmax())][:100]
        raise UserError(
            f"item {name!r} is not among the network's {n_items} items: leave it out, or train anew with it"
        )
    return numbers


@torch.inference_mode()
def recommend_after(
    network: EASRecNetwork, history: Sequence[str], k: int, unseen: bool, item_ids: IdTable | NDArray[np.str_] | None
) -> tuple[list[str], list[float]]:
    """Best items after a history, by the network itself: its newest ``max_length`` interactions count.

    Parameters
    ----------
    network
        In evaluation mode.
    history
        Ids of items, oldest first.
    k
        Items to recommend.
    unseen
        Whether to leave out the history's items.
    item_ids
        Id of each item number; None: ids are item numbers.

    Returns
    -------
    items : list of str
        Best first.
    scores : list of float
        Theirs.

    Raises
    ------
    UserError
        The history is empty, has an unknown item, or k is out of range, or a score is NaN.
    """
    n_items = network.config.n_items
    if not history or not 1 <= k <= n_items:
        raise UserError(f"give a history of one item at least, and k from 1 to {n_items}")
    known = None if item_ids is None else {str(name): number for number, name in enumerate(item_ids) if number}
    numbers = torch.from_numpy(item_numbers(history, n_items, known))
    scores = network(numbers[None])
    if unseen:
        scores[:, numbers] = -torch.inf
    values, best = (found[0] for found in top_items(scores, k))
    there = int((values > -torch.inf).sum())
    names = best[:there].numpy() if item_ids is None else item_ids[best[:there].numpy()]
    return [str(name) for name in names], values[:there].tolist()
