"""Softmax attention, quadratic in the sequence length."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["softmax_attention"]


def softmax_attention(
    query: Tensor, key: Tensor, value: Tensor, mask: Tensor, causal: bool, key_norm: str, dropout: float
) -> Tensor:
    """Scaled dot-product attention (Vaswani et al. 2017), as in SASRec.

    Parameters and shapes are those of :func:`~search_spaces.attention.linrec.linrec_attention`; ``key_norm`` is not
    used, ``dropout`` is the probability of dropping an attention weight.
    """
    length = key.shape[-2]
    allowed = mask[:, None, None, :]  # [B, 1, 1, N], or [B, 1, N, N] below
    if causal and query.shape[-2] == length:
        allowed = allowed & torch.ones(length, length, dtype=torch.bool, device=mask.device).tril()
    if query.shape[-2] == length:
        # A padded position sees itself, as a row without keys would be NaN.
        allowed = allowed | torch.eye(length, dtype=torch.bool, device=mask.device)
    else:
        allowed = allowed | ~mask.any(dim=1)[:, None, None, None]
    return F.scaled_dot_product_attention(query, key, value, attn_mask=allowed, dropout_p=dropout)
