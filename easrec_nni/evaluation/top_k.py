"""Top-k items with a deterministic tie rule: higher score first, then smaller item number."""

from __future__ import annotations

import torch
from torch import Tensor

from easrec_nni.evaluation.ranks import checked_scores

__all__ = ["top_items"]

SMALL = 256  # number of scores up to which Python finds ties faster than torch


def top_items(scores: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Top-k items by score, best first; ties go to the smaller item number.

    Evaluation, streaming and recommendation of histories all follow this rule, with the same order on any machine.
    ``torch.topk`` guarantees neither the order of ties nor which of them take the last places. Here it only finds the
    k + 1 highest scores; rows with ties are corrected afterwards, at little extra cost.

    Parameters
    ----------
    scores
        Scores ``[B, n_items + 1]``, column 0 = padding, which is never recommended.
    k
        Number of items, at least 1; limited to the size of the catalogue.

    Returns
    -------
    scores : Tensor
        Scores of the items, ``[B, min(k, n_items)]``.
    items : Tensor
        Item numbers ``[B, min(k, n_items)]``, int64.

    Raises
    ------
    DivergedError
        A score is NaN.

    Examples
    --------
    >>> scores, items = top_items(torch.tensor([[9.0, 1.0, 3.0, 2.0, 3.0, 2.0]]), 3)
    >>> scores.tolist(), items.tolist()
    ([[3.0, 3.0, 2.0]], [[2, 4, 3]])
    """
    columns = scores[:, 1:]  # [B, n_items]
    if k >= columns.shape[1]:
        values, indices = columns.sort(dim=1, descending=True, stable=True)
        checked_scores(values[:, :1])  # NaN sorts before all numbers
        return values, indices + 1
    values, indices = columns.topk(k + 1, dim=1)  # [B, k + 1]
    tied = _rows_with_ties(values)
    if tied:
        checked_scores(values[:, :1])
        _break_ties(columns, values, indices, tied)
    return values[:, :k], indices[:, :k] + 1


def _rows_with_ties(values: Tensor) -> list[int]:
    """Rows of sorted scores ``[B, k + 1]`` with ties, or with NaN (which sorts first)."""
    if values.numel() > SMALL:
        return (values[:, :-1] > values[:, 1:]).all(dim=1).logical_not().nonzero()[:, 0].tolist()
    rows = values.tolist()
    return [number for number, row in enumerate(rows) if len(set(row)) < len(row) or row[0] != row[0]]


def _break_ties(scores: Tensor, values: Tensor, indices: Tensor, rows: list[int]) -> None:
    """Correct the top-k indices of tied rows in place: the columns taken, and their order.

    ``values`` and ``indices``, ``[B, k + 1]``, are the result of ``topk``: all columns above the k-th score are there.
    """
    k = indices.shape[1] - 1
    index = torch.tensor(rows, device=scores.device)
    best = values[index]  # [rows, k + 1]
    above = (best > best[:, k - 1 : k]).sum(dim=1).tolist()
    for number, first, crowded in zip(rows, above, (best[:, k - 1] == best[:, k]).tolist(), strict=True):
        if crowded:  # ties compete for the last places
            ties = (scores[number] == values[number, k]).nonzero()[:, 0]  # ascending
            indices[number, first:k] = ties[: k - first]
    ascending = indices[index, :k].sort(dim=1).values  # a stable sort then keeps ties in this order
    order = scores[index[:, None], ascending].argsort(dim=1, descending=True, stable=True)
    indices[index, :k] = ascending.gather(1, order)
