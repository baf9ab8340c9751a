r"""Linear attention :math:`\phi(Q) (\psi(K)^T V)`, causal or bidirectional, in O(N d²)."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from search_spaces.autocasting import as_autocast
from search_spaces.tracing import is_traced

__all__ = ["CHUNK", "causal_linear_attention", "is_causal_over_all", "linear_attention"]

# Positions per chunk: few enough for a cheap quadratic part, enough for efficient matrix products.
CHUNK = 64


def causal_linear_attention(query: Tensor, key: Tensor, value: Tensor, chunk: int = CHUNK) -> Tensor:
    r"""Causal linear attention :math:`o_t = q_t \sum_{s \le t} k_s v_s^T`, computed by chunks.

    Inside a chunk the causal products are formed directly; earlier chunks enter through their sum of
    :math:`k_s v_s^T`. So neither N×N nor N×d×d tensors are needed.

    Parameters
    ----------
    query, key, value
        ``[B, heads, N, d_h]``.
    chunk
        Positions per chunk.

    Returns
    -------
    Tensor
        ``[B, heads, N, d_h]``, without second derivatives.
    """
    if query.shape[-2] > chunk and torch.compiler.is_exporting():
        return _in_equal_chunks(query, key, value, chunk)
    if query.requires_grad and torch.is_grad_enabled() and not is_traced():
        batch, heads, length, width = query.shape
        rows = (tensor.reshape(batch * heads, length, width) for tensor in as_autocast(query, key, value))
        out: Tensor = _ChunkedAttention.apply(*rows, chunk)
        return out.view(batch, heads, length, width)
    pieces: list[Tensor] = []
    state: Tensor | None = None  # sum of k v^T over the chunks so far, [B, heads, d_h, d_h]
    for queries, keys, values in zip(*(tensor.split(chunk, dim=-2) for tensor in (query, key, value)), strict=True):
        keys = keys.transpose(-1, -2)
        piece = (queries @ keys).tril() @ values  # [B, heads, chunk, d_h]
        pieces.append(piece if state is None else piece + queries @ state)
        if len(pieces) * chunk < query.shape[-2]:
            state = keys @ values if state is None else state + keys @ values
    return pieces[0] if len(pieces) == 1 else torch.cat(pieces, dim=-2)


class _ChunkedAttention(torch.autograd.Function):
    """Chunked attention on ``[B * heads, N, d_h]`` with gradients written in place.

    Autograd would pad and add the pieces, which takes a quarter of this attention's training time.
    """

    @staticmethod
    def forward(ctx: Any, query: Tensor, key: Tensor, value: Tensor, chunk: int) -> Tensor:
        out = torch.empty_like(value)
        products: list[Tensor] = []  # causal Q K^T of each chunk, [B * heads, chunk, chunk]
        states: list[Tensor] = []  # sum of k v^T before each chunk but the first, [B * heads, d_h, d_h]
        for begin in range(0, query.shape[1], chunk):
            queries, keys, values = (tensor[:, begin : begin + chunk] for tensor in (query, key, value))
            products.append(torch.bmm(queries, keys.mT).tril_())
            piece = torch.bmm(products[-1], values)
            if begin:
                piece.baddbmm_(queries, states[-1])
            out[:, begin : begin + chunk] = piece  # writing the product there directly takes several times as long
            if begin + chunk < query.shape[1]:
                last = states[-1:]
                states.append(torch.baddbmm(last[0], keys.mT, values) if last else torch.bmm(keys.mT, values))
        ctx.save_for_backward(query, key, value, *products, *states)
        ctx.chunk = chunk
        return out

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        query, key, value, *saved = ctx.saved_tensors
        chunk, begins = ctx.chunk, range(0, query.shape[1], ctx.chunk)
        products, states = saved[: len(begins)], saved[len(begins) :]
        gradient = gradients[0].contiguous()
        grad_query, grad_key, grad_value = (torch.empty_like(tensor) for tensor in (query, key, value))
        grad_state: Tensor | None = None  # of the state after the chunk, [B * heads, d_h, d_h]
        for number, begin in reversed(list(enumerate(begins))):
            rows = slice(begin, begin + chunk)
            queries, keys, values, outs = (tensor[:, rows] for tensor in (query, key, value, gradient))
            inside = torch.bmm(outs, values.mT).tril_()  # gradient of the chunk's causal Q K^T
            to_queries, to_keys = torch.bmm(inside, keys), torch.bmm(inside.mT, queries)
            to_values = torch.bmm(products[number].mT, outs)
            if grad_state is not None:
                to_keys.baddbmm_(values, grad_state.mT)
                to_values.baddbmm_(keys, grad_state)
            if number:
                to_queries.baddbmm_(outs, states[number - 1].mT)
                grad_state = (
                    torch.bmm(queries.mT, outs) if grad_state is None else grad_state.baddbmm_(queries.mT, outs)
                )
            grad_query[:, rows], grad_key[:, rows], grad_value[:, rows] = to_queries, to_keys, to_values
        return grad_query, grad_key, grad_value, None


def _in_equal_chunks(query: Tensor, key: Tensor, value: Tensor, chunk: int) -> Tensor:
    """Chunked attention without a loop, whose number of steps an export would fix.

    The last chunk is padded with zeros.
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
    """Whether queries see different keys; a single query is the last position and sees all."""
    return causal and query.shape[-2] == key.shape[-2]


def linear_attention(query: Tensor, key: Tensor, value: Tensor, causal: bool) -> Tensor:
    r"""Linear attention :math:`o_t = q_t \sum_s k_s v_s^T`, with s up to t if causal.

    Queries are ``[B, heads, M, d_h]``, M = N or 1, keys and values ``[B, heads, N, d_h]``.
    """
    if is_causal_over_all(query, key, causal):
        return causal_linear_attention(query, key, value)
    return query @ (key.transpose(-1, -2) @ value)
