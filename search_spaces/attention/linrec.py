"""LinRec's linear attention, the paper's default (Eq. 5)."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from search_spaces.attention.linear import is_causal_over_all, linear_attention

__all__ = ["linrec_attention"]

# Norms below this belong to masked positions or zero vectors.
SMALLEST_NORM = 1e-6


def linrec_attention(
    query: Tensor, key: Tensor, value: Tensor, mask: Tensor, causal: bool, key_norm: str, dropout: float
) -> Tensor:
    r"""LinRec's linear attention, Eq. 5: :math:`A_1(elu(Q)) (A_2(elu(K))^T V)` per head.

    :math:`A_1` divides each query row by its L2 norm and :math:`\sqrt{d_h}`. :math:`A_2` does the same with each key
    column (``key_norm="column"``, as printed) or each key row (``"row"``, as in LinRec's published code). That code
    divides by :math:`\sqrt{d_h}` once, while Eq. 5 as printed and this function do so twice: with rows, attention is
    :math:`\sqrt{d_h}` times weaker here. A head has the usual width :math:`d_h = d / n` for n heads;
    EASRec's Eq. 9 prints :math:`W_Q^h \in R^{d \times d}`, heads of full width, and :math:`W_O \in R^{nd \times d}`.

    In causal form a column's norm runs over positions up to the query's, so that no future item is seen; it then only
    depends on the query's position, and the query is divided by it. The published code has neither a causal nor a
    padding mask; here masked keys are left out. (Published code: Applied-Machine-Learning-Lab/LinRec, commit 1f3d743.)

    Parameters
    ----------
    query
        ``[B, heads, M, d_h]``, M = N, or M = 1 for the last position only.
    key, value
        ``[B, heads, N, d_h]``.
    mask
        ``[B, N]``, true at interactions.
    causal
        Whether position t only sees positions up to t.
    key_norm
        ``"row"`` or ``"column"``.
    dropout
        Not used, as linear attention has no attention matrix.

    Returns
    -------
    Tensor
        ``[B, heads, M, d_h]``.
    """
    scale = query.shape[-1] ** -0.5
    # The projection's layout interleaves heads and positions; otherwise every product would copy.
    query, key, value = query.contiguous(), key.contiguous(), value.contiguous()
    query = F.elu(query)
    query = query * (scale / query.norm(dim=-1, keepdim=True).clamp_min(SMALLEST_NORM))
    key, present = F.elu(key), mask[:, None, :, None].to(key.dtype)
    if key_norm == "row":
        key = key * (present * scale / key.norm(dim=-1, keepdim=True).clamp_min(SMALLEST_NORM))
    else:
        key = key * present
        if is_causal_over_all(query, key, causal):
            query = query * (scale / key.square().cumsum(dim=-2).clamp_min(SMALLEST_NORM**2).sqrt())
        else:
            query = query * (scale / key.norm(dim=-2, keepdim=True).clamp_min(SMALLEST_NORM))
    return linear_attention(query, key, value, causal)
