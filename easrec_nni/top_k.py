"""The k best items, exactly: of equals the one with the smaller number comes first, in the same order on any machine.

Over a large catalogue the scores of all items are never held: they are made block by block, and of each block only
what may be among the k best is kept.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from easrec_nni.metrics import checked_scores

__all__ = ["best_columns", "recommended_items", "top_k"]

# Scores of a block that are held at once: 2^20 float32 are 4 MiB, which stay in a processor's cache.
BLOCK_SCORES = 1 << 20
SMALLEST_BLOCK = 1024  # items: a product with fewer rows is slow


def best_columns(scores: Tensor, k: int) -> Tensor:
    """Columns of the k highest scores of each row, best first; of equals, the first.

    ``torch.topk`` breaks ties as it likes, on another machine perhaps differently: it only finds the k-th best score
    here.

    Parameters
    ----------
    scores
        ``[B, n]`` without NaN.
    k
        Columns wanted, all at most.

    Returns
    -------
    Tensor
        ``[B, min(k, n)]`` int64.

    Examples
    --------
    >>> best_columns(torch.tensor([[1.0, 3.0, 2.0, 3.0, 2.0]]), 3).tolist()
    [[1, 3, 2]]
    """
    k = min(k, scores.shape[1])
    best = scores.topk(min(k + 1, scores.shape[1]), dim=1)
    chosen = best.indices[:, :k].sort(dim=1).values  # ascending in each row
    # Only where the next one is as good do equals compete for a place: looking at all items again takes long.
    crowded = (best.values[:, k - 1 : k] == best.values[:, k:]).any(dim=1)
    if crowded.any():
        chosen[crowded] = _first_of_equals(scores[crowded], best.values[crowded, k - 1 : k], k)
    order = scores.gather(1, chosen).argsort(dim=1, descending=True, stable=True)
    return chosen.gather(1, order)


def _first_of_equals(scores: Tensor, lowest: Tensor, k: int) -> Tensor:
    """Columns of the k best, ascending; of those as good as the k-th best score ``[B, 1]``, the first ones."""
    taken, tied = scores > lowest, scores == lowest
    free = k - taken.sum(dim=1, keepdim=True)
    tied &= tied.cumsum(dim=1, dtype=torch.int32) <= free
    return (taken | tied).nonzero()[:, 1].view(len(scores), k)


@torch.no_grad()
def top_k(
    states: Tensor, items: Tensor, k: int, block: int | None = None, exclude: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """The k items whose vectors have the largest products with each state.

    Parameters
    ----------
    states
        ``[B, d]``.
    items
        ``[n, d]``, vectors of items 1, 2, …, as a network's ``item_vectors`` gives them.
    k
        Items wanted, all at most.
    block
        Items that are scored at a time; by default as many as make 4 MiB of scores, which is what is held.
    exclude
        ``[B, T]`` numbers of items that are left out of a row, 0 = none.

    Returns
    -------
    scores
        ``[B, min(k, n)]``, best first; minus infinity where all items that are left have been named.
    numbers
        ``[B, min(k, n)]`` int64 item numbers from 1, of equals the smaller one first; 0 where the score is minus
        infinity because nothing is left.

    Raises
    ------
    ValueError
        A score is NaN, or k or block is below 1.

    Examples
    --------
    >>> items = torch.tensor([[1.0], [3.0], [2.0], [3.0]])
    >>> scores, numbers = top_k(torch.ones(1, 1), items, 3, block=2)
    >>> scores.tolist(), numbers.tolist()
    ([[3.0, 3.0, 2.0]], [[2, 4, 3]])
    """
    if k < 1 or (block is not None and block < 1):
        raise ValueError(f"k and block are whole numbers from 1, not {k} and {block}")
    step = block or max(SMALLEST_BLOCK, BLOCK_SCORES // max(1, len(states)))
    best = states.new_empty(len(states), 0)
    numbers = torch.empty(len(states), 0, dtype=torch.int64, device=states.device)
    for begin in range(0, len(items), step):
        scores = checked_scores(states @ items[begin : begin + step].T)  # [B, block]
        if exclude is not None:
            _leave_out(scores, exclude - 1 - begin)
        columns = best_columns(scores, k)
        # What is known stands before what is new, and so the first of equals is the one with the smaller number.
        best = torch.cat([best, scores.gather(1, columns)], dim=1)
        numbers = torch.cat([numbers, columns + (begin + 1)], dim=1)
        if begin:
            columns = best_columns(best, k)
            best, numbers = best.gather(1, columns), numbers.gather(1, columns)
    if exclude is not None:
        numbers = numbers.masked_fill(best == -torch.inf, 0)
    return best, numbers


def _leave_out(scores: Tensor, columns: Tensor) -> None:
    """Set the columns ``[B, T]`` that are in this block to minus infinity, in place."""
    rows, places = ((columns >= 0) & (columns < scores.shape[1])).nonzero(as_tuple=True)
    scores[rows, columns[rows, places]] = -torch.inf


@torch.no_grad()
def recommended_items(
    network: Any, ids: Tensor, k: int, block: int | None = None, exclude: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """The k items that a network recommends after each history; scores of all items are never held.

    Parameters
    ----------
    network
        A :class:`~search_spaces.EASRecSpace` in evaluation mode.
    ids
        ``[B, T]`` histories, 0 = padding.
    k, block, exclude
        As for :func:`top_k`; ``exclude=ids`` recommends nothing that the history holds.

    Returns
    -------
    scores, numbers
        As from :func:`top_k`.
    """
    return top_k(network.newest_state(ids), network.item_vectors(), k, block, exclude)
