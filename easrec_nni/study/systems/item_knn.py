"""Item-kNN: the items that stand close to what a user had, by the company they keep; a floor without any training."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import coo_array, csr_array
from torch import Tensor, nn

from easrec_nni.data.dataset import Dataset
from easrec_nni.data.negatives import training_items

__all__ = ["ItemKNN", "nearest_items", "training_matrix"]

# Entries of a block of co-occurrences that are held at once, at 12 bytes each.
LARGEST_BLOCK = 1 << 22
# Where more of the training interactions return to an item of the user, what a user had may well come next.
RETURNS = 0.01


class ItemKNN(nn.Module):
    r"""Scores items by their similarity to the user's newest items.

    .. math::

        \mathrm{score}(u, j) = \sum_{a=1}^{N} \frac{1}{a}\, s(i_a, j), \qquad
        s(i, j) = \frac{|U_i \cap U_j|}{\sqrt{|U_i|\,|U_j|}}

    where :math:`i_a` is the user's a-th newest item, :math:`U_i` are the users who had i in the training part, and
    s counts for the ``neighbours`` items most similar to :math:`i_a` only. The similarity is the cosine of item
    columns of Sarwar et al. (WWW 2001); keeping k neighbours of each item, adding up over the user's items, and leaving
    those items out of the result is Deshpande and Karypis (TOIS 2004). The weight ``1 / a`` is that of sequential rules
    in Ludewig and Jannach (UMUAI 2018); ``recency=False`` is the sum without it. It was chosen by MovieLens-100K's
    validation targets, where it raises NDCG@10 by half (full ranking: from 0.052 to 0.076). The other defaults are not
    tuned: 20 neighbours, say, are better there.

    That rule to leave out what a user had is one that trained networks do not have; they learn it more or less. In the
    full ranking, where nobody returns, it is worth much (0.076 with it, 0.046 without, on the same targets). The
    rankings ``unseen``, ``pop100`` and ``uni100`` leave such items out for everybody; ``pop100_recbole`` does not.

    Nobody's validation or test target is in the similarities. Memory is that of ``neighbours`` numbers for each item,
    and of one block of co-occurrences while these are made.

    Parameters
    ----------
    dataset
        Whose training part is counted.
    neighbours
        k, similar items that are kept of each item; of equals those with the smaller numbers.
    max_length
        N, newest interactions that are looked back on.
    recency
        Whether the a-th newest item weighs ``1 / a``, or all weigh 1.
    leave_out_seen
        Whether items among these newest N score ``-inf``. By default they do, unless more than 1 % of the training
        interactions return to an item that the user had before.

    Attributes
    ----------
    similarity
        ``[n_items + 1, n_items + 1]`` sparse float32: row i has the neighbours of item i.

    Raises
    ------
    ValueError
        A number is below 1.
    """

    def __init__(
        self,
        dataset: Dataset,
        neighbours: int = 100,
        max_length: int = 50,
        recency: bool = True,
        leave_out_seen: bool | None = None,
    ) -> None:
        super().__init__()
        if neighbours < 1 or max_length < 1:
            raise ValueError(f"neighbours and max_length must be 1 or more, not {neighbours} and {max_length}")
        had = training_matrix(dataset)
        returns = had.data.sum() - had.nnz
        self.leave_out_seen = bool(returns <= RETURNS * had.data.sum()) if leave_out_seen is None else leave_out_seen
        self.max_length, self.recency = max_length, recency
        had.data[:] = 1
        self.similarity = nearest_items(had, neighbours)

    def forward(self, ids: Tensor) -> Tensor:
        """``[B, T]`` ids, padded with 0 on the left, to ``[B, n_items + 1]`` scores; padding scores ``-inf``."""
        newest = ids[:, -self.max_length :].cpu()
        users, places = newest.numpy().nonzero()
        ages = newest.shape[1] - places
        weights = 1 / ages if self.recency else np.ones(len(ages))
        shape = len(newest), self.similarity.shape[0]
        history = coo_array((weights.astype(np.float32), (users, newest.numpy()[users, places])), shape=shape)
        scores = torch.from_numpy((history.tocsr() @ self.similarity).toarray())  # [B, n_items + 1]
        if self.leave_out_seen:
            scores.scatter_(1, newest, -torch.inf)
        scores[:, 0] = -torch.inf
        return scores.to(ids.device)


def training_matrix(dataset: Dataset) -> csr_array:
    """How often each user had each item in the training part: ``[n_users, n_items + 1]`` float64, sparse."""
    lengths = dataset.split.training_end() - dataset.offsets[:-1]
    users = np.repeat(np.arange(dataset.n_users), lengths)
    items = training_items(dataset.items, dataset.offsets, dataset.split)
    return coo_array((np.ones(len(items)), (users, items)), shape=(dataset.n_users, dataset.n_items + 1)).tocsr()


def nearest_items(had: csr_array, neighbours: int) -> csr_array:
    """Cosine similarity of each item to its nearest ones, never to itself.

    Parameters
    ----------
    had
        ``[n_users, n_items + 1]`` sparse, 1 where a user had an item; column 0 (padding) is empty.
    neighbours
        Entries to keep in each row; of equals those with the smaller item numbers.

    Returns
    -------
    csr_array
        ``[n_items + 1, n_items + 1]`` float32; the row of item i has the ``neighbours`` items most similar to it, fewer
        where fewer share a user with it.
    """
    by_item = had.T.tocsr()
    norms = np.sqrt(by_item.sum(axis=1))
    columns: list[NDArray[np.int64]] = []
    values: list[NDArray[np.float32]] = []
    for begin, end in _blocks(by_item, had):
        together = (by_item[begin:end] @ had).tocsr()  # [end - begin, n_items + 1]
        together.sort_indices()
        for row, item in enumerate(range(begin, end)):
            entries = slice(together.indptr[row], together.indptr[row + 1])
            others = together.indices[entries]
            cosines = together.data[entries] / (norms[item] * norms[others])
            cosines[others == item] = 0  # the diagonal, always there where a row is not empty
            kept = _largest(cosines, min(neighbours, max(len(others) - 1, 0)))
            columns.append(others[kept])
            values.append(cosines[kept].astype(np.float32))
    ends = np.cumsum([0, *map(len, columns)])
    return csr_array((np.concatenate(values), np.concatenate(columns), ends), shape=(len(norms), len(norms)))


def _blocks(by_item: csr_array, had: csr_array) -> Iterator[tuple[int, int]]:
    """Ranges of items whose co-occurrences fit into a block; an item with very many is a block of its own."""
    baskets = np.diff(had.indptr)
    most = np.minimum(by_item @ baskets, had.shape[1])  # an item meets at most all items in its users' baskets
    begin, size = 0, 0.0
    for item, entries in enumerate(most):
        if size and size + entries > LARGEST_BLOCK:
            yield begin, item
            begin, size = item, 0.0
        size += entries
    yield begin, len(most)


def _largest(values: NDArray[np.float64], k: int) -> NDArray[np.int64]:
    """Places of the k largest, ascending; of equals the first ones."""
    if k == len(values):
        return np.arange(k)
    if k == 0:
        return np.arange(0)
    least = np.partition(values, -k)[-k]
    above = np.flatnonzero(values > least)
    return np.sort(np.concatenate([above, np.flatnonzero(values == least)[: k - len(above)]]))
