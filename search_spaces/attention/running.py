"""Causal linear attention in pieces, with the state of earlier keys and values."""

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
    """Whether a head's state has a vector (sums over keys or their squares) besides its matrix."""
    return config.attention == "elu" or config.key_norm == "column"


class RunningAttention:
    r"""Attention over sequences given in pieces, at a cost independent of earlier pieces.

    It replaces :func:`~search_spaces.attention.linrec.linrec_attention` or
    :func:`~search_spaces.attention.elu.elu_attention` in a causal block: successive pieces give the same result as
    the plain form on the whole. The state of a head is :math:`\sum_s k_s v_s^T` and, if :func:`has_sums`,
    :math:`\sum_s k_s^2` (linrec with ``key_norm="column"``) or :math:`\sum_s k_s` (elu).

    Parameters
    ----------
    form
        Form of attention, one of :data:`RUNNING_FORMS`.
    products
        Initial state ``[B, heads, d_h, d_h]``, zeros without a past; never modified. May be float64 in a float32 block,
        so that sums over long streams lose no digits.
    sums
        Initial state ``[B, heads, d_h]``, zeros without a past; ignored without :func:`has_sums`.

    Attributes
    ----------
    products, sums
        State after the last piece.

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
        """Attention of the next piece, with the parameters of the plain form; must be causal.

        A single query per sequence is the last position of the piece, as in the plain forms.
        """
        assert causal
        present = mask[:, None, :, None].to(key.dtype)
        if self.form == "elu":
            query, key = F.elu(query) + 1, (F.elu(key) + 1) * present
            sums = self._update_sums(query, key, key)
            total = (query * sums).sum(dim=-1, keepdim=True).clamp_min(SMALLEST_TOTAL)
            return self._product(query, key, value) / total.to(query.dtype)
        scale = query.shape[-1] ** -0.5
        query, key = F.elu(query), F.elu(key) * present
        query = query * (scale / query.norm(dim=-1, keepdim=True).clamp_min(SMALLEST_NORM))
        if key_norm == "row":
            key = key * (scale / key.norm(dim=-1, keepdim=True).clamp_min(SMALLEST_NORM))
        else:
            squares = self._update_sums(query, key, key.square())
            query = query * (scale / squares.clamp_min(SMALLEST_NORM**2).sqrt()).to(query.dtype)
        return self._product(query, key, value)

    def _update_sums(self, query: Tensor, key: Tensor, terms: Tensor) -> Tensor:
        """Sums up to each query, ``[B, heads, M, d_h]``; updates the state."""
        earlier = self.sums[..., None, :]
        if is_causal_over_all(query, key, True):
            sums = earlier + terms.cumsum(dim=-2)
        else:
            sums = earlier + terms.sum(dim=-2, keepdim=True)
        self.sums = sums[..., -1, :]
        return sums

    def _product(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        updated = self.products + key.transpose(-1, -2) @ value  # [B, heads, d_h, d_h]
        if is_causal_over_all(query, key, True):
            earlier = torch.matmul(query.to(updated.dtype), self.products).to(query.dtype)
            out = causal_linear_attention(query, key, value) + earlier
        else:
            out = torch.matmul(query.to(updated.dtype), updated).to(query.dtype)
        self.products = updated
        return out
