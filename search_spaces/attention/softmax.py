"""Attention by softmax over the keys, quadratic in the sequence."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["softmax_attention"]


def softmax_attention(
    query: Tensor, key: Tensor, value: Tensor, mask: Tensor, causal: bool, key_norm: str, dropout: float
) -> Tensor:
    """Scaled dot-product attention (Vaswani et al. 2017), the one that SASRec uses.

    Parameters and shapes as in :func:`~search_spaces.attention.linrec.linrec_attention`; ``key_norm`` is not used,
    ``dropout`` is the probability of dropping an attention weight.
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
