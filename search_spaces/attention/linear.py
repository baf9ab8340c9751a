r"""What linear forms of attention share: :math:`\phi(Q) (\psi(K)^T V)`, causal or not, in O(N d²)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

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
        ``[B, heads, N, d_h]``.
    """
    if query.shape[-2] > chunk and torch.compiler.is_exporting():
        return _in_equal_chunks(query, key, value, chunk)
    pieces: list[Tensor] = []
    state: Tensor | None = None  # sum of k v^T over the chunks so far, [B, heads, d_h, d_h]
    for queries, keys, values in zip(*(tensor.split(chunk, dim=-2) for tensor in (query, key, value)), strict=True):
        keys = keys.transpose(-1, -2)
        piece = (queries @ keys).tril() @ values
        pieces.append(piece if state is None else piece + queries @ state)
        if len(pieces) * chunk < query.shape[-2]:
            state = keys @ values if state is None else state + keys @ values
    return pieces[0] if len(pieces) == 1 else torch.cat(pieces, dim=-2)


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
