"""Forms of attention: each is a function of projected queries, keys and values.

To add one, write a function with the signature of :data:`AttentionCore` and name it in :data:`ATTENTIONS`. It must
ignore masked keys, must not let a causal query see a later key, and must accept a single query per sequence that
stands for the last position. Every operator it uses must be countable: see ``easrec_nni.cost``.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["ATTENTIONS", "AttentionCore", "causal_linear_attention", "linrec_attention", "softmax_attention"]

# Small enough that the quadratic part inside a chunk costs less than the state, large enough for efficient matmuls.
CHUNK = 64
# Norms below this are those of masked positions or of vectors that are zero anyway.
SMALLEST_NORM = 1e-6

AttentionCore = Callable[[Tensor, Tensor, Tensor, Tensor, bool, str, float], Tensor]


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
    batch, heads, length, width = query.shape
    if length <= chunk:
        lower = torch.ones(length, length, dtype=query.dtype, device=query.device).tril()
        return (query @ key.transpose(-1, -2) * lower) @ value
    padding = -length % chunk
    query, key, value = (
        F.pad(tensor, (0, 0, 0, padding)).view(batch, heads, -1, chunk, width) for tensor in (query, key, value)
    )
    lower = torch.ones(chunk, chunk, dtype=query.dtype, device=query.device).tril()
    states = (key.transpose(-1, -2) @ value).cumsum(dim=2)  # [B, heads, chunks, d_h, d_h]
    earlier = torch.cat([torch.zeros_like(states[:, :, :1]), states[:, :, :-1]], dim=2)
    out = (query @ key.transpose(-1, -2) * lower) @ value + query @ earlier  # [B, heads, chunks, chunk, d_h]
    return out.reshape(batch, heads, length + padding, width)[:, :, :length]


def linrec_attention(
    query: Tensor, key: Tensor, value: Tensor, mask: Tensor, causal: bool, key_norm: str, dropout: float
) -> Tensor:
    r"""LinRec's linear attention, Eq. 5: :math:`A_1(elu(Q)) (A_2(elu(K))^T V)` per head.

    :math:`A_1` divides each query row by its L2 norm and :math:`\sqrt{d_h}`. :math:`A_2` does the same with each key
    column (``key_norm="column"``, as printed) or each key row (``"row"``, as the published code of LinRec does).
    In causal form a column's norm runs over the positions up to the query's, so that no future item is seen; it then
    depends on the query's position alone and is moved over to the query. The published code has no causal and no
    padding mask: masked keys are left out here.

    Parameters
    ----------
    query
        ``[B, heads, M, d_h]``, M = N, or M = 1 for the last position alone.
    key, value
        ``[B, heads, N, d_h]``.
    mask
        ``[B, N]``, true where an interaction is.
    causal
        Whether position t sees positions up to t only.
    key_norm
        ``"row"`` or ``"column"``.
    dropout
        Not used: linear attention has no attention matrix to drop from.

    Returns
    -------
    Tensor
        ``[B, heads, M, d_h]``.
    """
    scale = query.shape[-1] ** -0.5
    query = F.elu(query)
    query = query * (scale / query.norm(dim=-1, keepdim=True).clamp_min(SMALLEST_NORM))
    key = F.elu(key) * mask[:, None, :, None].to(key.dtype)
    if key_norm == "row":
        key = key * (scale / key.norm(dim=-1, keepdim=True).clamp_min(SMALLEST_NORM))
    elif causal and query.shape[-2] == key.shape[-2]:
        query = query * (scale / key.square().cumsum(dim=-2).clamp_min(SMALLEST_NORM**2).sqrt())
    else:
        query = query * (scale / key.norm(dim=-2, keepdim=True).clamp_min(SMALLEST_NORM))
    if causal and query.shape[-2] == key.shape[-2]:
        return causal_linear_attention(query, key, value)
    return query @ (key.transpose(-1, -2) @ value)


def softmax_attention(
    query: Tensor, key: Tensor, value: Tensor, mask: Tensor, causal: bool, key_norm: str, dropout: float
) -> Tensor:
    """Scaled dot-product attention (Vaswani et al. 2017), the one that SASRec uses.

    Parameters and shapes as in :func:`linrec_attention`; ``key_norm`` is not used, ``dropout`` is the probability of
    dropping an attention weight.
    """
    length = key.shape[-2]
    allowed = mask[:, None, None, :]
    if causal and query.shape[-2] == length:
        allowed = allowed & torch.ones(length, length, dtype=torch.bool, device=mask.device).tril()
    if query.shape[-2] == length:
        # A padded position sees itself: a row without any key would be NaN.
        allowed = allowed | torch.eye(length, dtype=torch.bool, device=mask.device)
    else:
        allowed = allowed | ~mask.any(dim=1)[:, None, None, None]
    return F.scaled_dot_product_attention(query, key, value, attn_mask=allowed, dropout_p=dropout)


ATTENTIONS: dict[str, AttentionCore] = {"linrec": linrec_attention, "softmax": softmax_attention}
