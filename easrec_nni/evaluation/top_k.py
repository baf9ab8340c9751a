"""The one top-k rule: the higher score comes first and, of equal scores, the smaller item number."""

from __future__ import annotations

import torch
from torch import Tensor

from easrec_nni.evaluation.ranks import checked_scores

__all__ = ["top_items"]

FEW = 256  # numbers among which Python finds equals sooner than torch does


def top_items(scores: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The k items with the highest scores, best first; of equals, the one with the smaller number.

    All that recommends follows this rule, in the same order on any machine: evaluation, streaming, histories.
    ``torch.topk`` by itself promises no order among equals, nor which of them it takes for the last places. It only
    finds the k + 1 highest scores here; rows of which two are equal are put right, at little more than its time.

    Parameters
    ----------
    scores
        ``[B, n_items + 1]``, column 0 = padding, which is never recommended.
    k
        Items wanted, from 1; all there are where the catalogue is smaller.

    Returns
    -------
    scores : Tensor
        ``[B, min(k, n_items)]``.
    items : Tensor
        ``[B, min(k, n_items)]`` int64 item numbers.

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
    columns = scores[:, 1:]
    if k >= columns.shape[1]:
        values, chosen = columns.sort(dim=1, descending=True, stable=True)
        checked_scores(values[:, :1])  # NaN comes before all numbers
        return values, chosen + 1
    values, chosen = columns.topk(k + 1, dim=1)
    doubtful = _not_falling(values)
    if doubtful:
        checked_scores(values[:, :1])
        _settle(columns, values, chosen, doubtful)
    return values[:, :k], chosen[:, :k] + 1


def _not_falling(values: Tensor) -> list[int]:
    """Rows of ``[B, k + 1]`` sorted scores with two equal ones, or with NaN, which are first and equal to nothing."""
    if values.numel() > FEW:
        return (values[:, :-1] > values[:, 1:]).all(dim=1).logical_not().nonzero()[:, 0].tolist()
    rows = values.tolist()
    return [number for number, row in enumerate(rows) if len(set(row)) < len(row) or row[0] != row[0]]


def _settle(scores: Tensor, values: Tensor, chosen: Tensor, rows: list[int]) -> None:
    """Put right, in place, which k columns of some rows of ``scores`` are chosen, and their order.

    ``values`` and ``chosen``, ``[B, k + 1]``, are what ``topk`` found: all above the k-th score is chosen already.
    """
    k = chosen.shape[1] - 1
    index = torch.tensor(rows, device=scores.device)
    best = values[index]
    above = (best > best[:, k - 1 : k]).sum(dim=1).tolist()
    for number, first, crowded in zip(rows, above, (best[:, k - 1] == best[:, k]).tolist(), strict=True):
        if crowded:  # equals compete for the last places
            equals = (scores[number] == values[number, k]).nonzero()[:, 0]  # ascending
            chosen[number, first:k] = equals[: k - first]
    ascending = chosen[index, :k].sort(dim=1).values
    order = scores[index[:, None], ascending].argsort(dim=1, descending=True, stable=True)
    chosen[index, :k] = ascending.gather(1, order)
