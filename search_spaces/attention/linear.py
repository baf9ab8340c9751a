r"""What linear forms of attention share: :math:`\phi(Q) (\psi(K)^T V)`, causal or not, in O(N d²)."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from search_spaces.autocasting import as_autocast
from search_spaces.tracing import is_traced

__all__ = ["CHUNK", "causal_linear_attention", "is_causal_over_all", "linear_attention"]

# Small enough that the quadratic part inside a chunk costs less than the state, large enough for efficient matmuls.
CHUNK = 64


def causal_linear_attention(query: Tensor, key: Tensor, value: Tensor, chunk: int = CHUNK) -> Tensor:
    r""":math:`o_t = q_t \sum_{s \le t} k_s v_s^T` by chunks: no N×N and no N×d×d tensor is kept.

    Inside a chunk the causal products are formed directly; what came before enters through the sum of
    :math:`k_s v_s^T` over all earlier chunks.

    Parameters
    ----------
    query, key, value
        ``[B, heads, N, d_h]``.
    chunk
        Positions in a chunk.

    Returns
    -------
    Tensor
        ``[B, heads, N, d_h]``. It has no second derivatives.
    """
    if query.shape[-2] > chunk and torch.compiler.is_exporting():
        return _in_equal_chunks(query, key, value, chunk)
    if query.requires_grad and torch.is_grad_enabled() and not is_traced():
        batch, heads, length, width = query.shape
        rows = (tensor.reshape(batch * heads, length, width) for tensor in as_autocast(query, key, value))
        out: Tensor = _ByChunks.apply(*rows, chunk)
        return out.view(batch, heads, length, width)
    pieces: list[Tensor] = []
    state: Tensor | None = None  # sum of k v^T over the chunks so far, [B, heads, d_h, d_h]
    for queries, keys, values in zip(*(tensor.split(chunk, dim=-2) for tensor in (query, key, value)), strict=True):
        keys = keys.transpose(-1, -2)
        piece = (queries @ keys).tril() @ values
        pieces.append(piece if state is None else piece + queries @ state)
        if len(pieces) * chunk < query.shape[-2]:
            state = keys @ values if state is None else state + keys @ values
    return pieces[0] if len(pieces) == 1 else torch.cat(pieces, dim=-2)


class _ByChunks(torch.autograd.Function):
    """The same on ``[B * heads, N, d_h]``, with gradients that are written where they belong, chunk by chunk.

    Torch's own would be made in pieces, padded and added up: a quarter of what training spends in this attention.
    """

    @staticmethod
    def forward(ctx: Any, query: Tensor, key: Tensor, value: Tensor, chunk: int) -> Tensor:
        out = torch.empty_like(value)
        products: list[Tensor] = []  # of queries and keys, inside each chunk
        states: list[Tensor] = []  # before each chunk but the first
        for begin in range(0, query.shape[1], chunk):
            queries, keys, values = (each[:, begin : begin + chunk] for each in (query, key, value))
            products.append(torch.bmm(queries, keys.mT).tril_())
            piece = torch.bmm(products[-1], values)
            if begin:
                piece.baddbmm_(queries, states[-1])
            out[:, begin : begin + chunk] = piece  # a product that is written there itself takes several times as long
            if begin + chunk < query.shape[1]:
                last = states[-1:]
                states.append(torch.baddbmm(last[0], keys.mT, values) if last else torch.bmm(keys.mT, values))
        ctx.save_for_backward(query, key, value, *products, *states)
        ctx.chunk = chunk
        return out

    @staticmethod
    def backward(ctx: Any, *outer: Tensor) -> tuple[Tensor | None, ...]:
        query, key, value, *saved = ctx.saved_tensors
        chunk, begins = ctx.chunk, range(0, query.shape[1], ctx.chunk)
        products, states = saved[: len(begins)], saved[len(begins) :]
        gradient = outer[0].contiguous()
        of_query, of_key, of_value = (torch.empty_like(each) for each in (query, key, value))
        of_state: Tensor | None = None  # of the state behind the chunk
        for number, begin in reversed(list(enumerate(begins))):
            own = slice(begin, begin + chunk)
            queries, keys, values, outs = (each[:, own] for each in (query, key, value, gradient))
            inside = torch.bmm(outs, values.mT).tril_()
            to_queries, to_keys = torch.bmm(inside, keys), torch.bmm(inside.mT, queries)
            to_values = torch.bmm(products[number].mT, outs)
            if of_state is not None:
                to_keys.baddbmm_(values, of_state.mT)
                to_values.baddbmm_(keys, of_state)
            if number:
                to_queries.baddbmm_(outs, states[number - 1].mT)
                of_state = torch.bmm(queries.mT, outs) if of_state is None else of_state.baddbmm_(queries.mT, outs)
            of_query[:, own], of_key[:, own], of_value[:, own] = to_queries, to_keys, to_values
        return of_query, of_key, of_value, None


def _in_equal_chunks(query: Tensor, key: Tensor, value: Tensor, chunk: int) -> Tensor:
    """The same without a loop, whose turns an exported program would count once and for all.

    The last chunk is filled up with zeros.
    """
    batch, heads, length, width = query.shape
    padding = -length % chunk
    query, key, value = (
        F.pad(tensor, (0, 0, 0, padding)).view(batch, heads, -1, chunk, width) for tensor in (query, key, value)
    )
    lower = torch.ones(chunk, chunk, dtype=query.dtype, device=query.device).tril()
    states = (key.transpose(-1, -2) @ value).cumsum(dim=2)  # [B, heads, chunks, d_h, d_h]
    earlier = torch.cat([torch.zeros_like(states[:, :, :1]), states[:, :, :-1]], dim=2)
    out = (query @ key.transpose(-1, -2) * lower) @ value + query @ earlier  # [B, heads, chunks, chunk, d_h]
    return out.reshape(batch, heads, length + padding, width)[:, :, :length]


def is_causal_over_all(query: Tensor, key: Tensor, causal: bool) -> bool:
    """Whether each query has keys of its own to see; a single query stands for the last position and sees all keys."""
    return causal and query.shape[-2] == key.shape[-2]


def linear_attention(query: Tensor, key: Tensor, value: Tensor, causal: bool) -> Tensor:
    r""":math:`o_t = q_t \sum_s k_s v_s^T`, s up to t if causal; queries ``[B, heads, M, d_h]``, M = N or 1."""
    if is_causal_over_all(query, key, causal):
        return causal_linear_attention(query, key, value)
    return query @ (key.transpose(-1, -2) @ value)
