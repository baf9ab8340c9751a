"""Causal linear attention over sequences that go on: what earlier keys and values leave behind is carried along."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from search_spaces.attention.elu import SMALLEST_TOTAL
from search_spaces.attention.linear import causal_linear_attention, is_causal_over_all
from search_spaces.attention.linrec import SMALLEST_NORM

if TYPE_CHECKING:
    from search_spaces.config import SpaceConfig

__all__ = ["RUNNING_FORMS", "RunningAttention", "has_sums"]

RUNNING_FORMS = ("linrec", "elu")
"""Forms of attention whose past is a state of constant size."""


def has_sums(config: SpaceConfig) -> bool:
    """Whether a head's state has a vector besides its matrix: elu's sum of keys, or a key column's sum of squares."""
    return config.attention == "elu" or config.key_norm == "column"


class RunningAttention:
    r"""Attention of a piece of each sequence to that piece and to all that came before it, in O(1) of the latter.

    It stands in for :func:`~search_spaces.attention.linrec.linrec_attention` or
    :func:`~search_spaces.attention.elu.elu_attention` in a causal block: pieces one after the other give what the plain
    form gives for the whole. The state of a head is :math:`\sum_s k_s v_s^T`, and where :func:`has_sums` says so
    :math:`\sum_s k_s^2` (linrec with ``key_norm="column"``) or :math:`\sum_s k_s` (elu).

    Parameters
    ----------
    form
        One of :data:`RUNNING_FORMS`.
    products
        ``[B, heads, d_h, d_h]``, zeros at the beginning. Not written to: see Attributes. May be float64 where the
        block is float32: sums over an endless stream then lose no digits.
    sums
        ``[B, heads, d_h]``, zeros at the beginning; not read where there are none.

    Attributes
    ----------
    products, sums
        After a call, the state after its piece.

    Raises
    ------
    ValueError
        The form has no state of constant size.
    """

    def __init__(self, form: str, products: Tensor, sums: Tensor) -> None:
        if form not in RUNNING_FORMS:
            raise ValueError(f"attention={form!r} has no state of constant size; {' and '.join(RUNNING_FORMS)} have")
        self.form, self.products, self.sums = form, products, sums

    def __call__(
        self, query: Tensor, key: Tensor, value: Tensor, mask: Tensor, causal: bool, key_norm: str, dropout: float
    ) -> Tensor:
        """Attention of the next piece; parameters and shapes as in the plain form, ``causal`` must be true.

        A single query per sequence stands for the end of the piece, as in the plain forms.
        """
        assert causal
        present = mask[:, None, :, None].to(key.dtype)
        if self.form == "elu":
            query, key = F.elu(query) + 1, (F.elu(key) + 1) * present
            sums = self._grown_sums(query, key, key)
            total = (query * sums).sum(dim=-1, keepdim=True).clamp_min(SMALLEST_TOTAL)
            return self._product(query, key, value) / total.to(query.dtype)
        scale = query.shape[-1] ** -0.5
        query, key = F.elu(query), F.elu(key) * present
        query = query * (scale / query.norm(dim=-1, keepdim=True).clamp_min(SMALLEST_NORM))
        if key_norm == "row":
            key = key * (scale / key.norm(dim=-1, keepdim=True).clamp_min(SMALLEST_NORM))
        else:
            squares = self._grown_sums(query, key, key.square())
            query = query * (scale / squares.clamp_min(SMALLEST_NORM**2).sqrt()).to(query.dtype)
        return self._product(query, key, value)

    def _grown_sums(self, query: Tensor, key: Tensor, terms: Tensor) -> Tensor:
        """Sums up to each query, ``[B, heads, M, d_h]``; the last one is kept."""
        earlier = self.sums[..., None, :]
        if is_causal_over_all(query, key, True):
            sums = earlier + terms.cumsum(dim=-2)
        else:
            sums = earlier + terms.sum(dim=-2, keepdim=True)
        self.sums = sums[..., -1, :]
        return sums

    def _product(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        grown = self.products + key.transpose(-1, -2) @ value
        if is_causal_over_all(query, key, True):
            earlier = torch.matmul(query.to(grown.dtype), self.products).to(query.dtype)
            out = causal_linear_attention(query, key, value) + earlier
        else:
            out = torch.matmul(query.to(grown.dtype), grown).to(query.dtype)
        self.products = grown
        return out
