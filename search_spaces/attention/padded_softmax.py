"""Softmax attention that may also look at padding."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

if TYPE_CHECKING:
    from search_spaces.config import SpaceConfig

__all__ = ["PaddedSoftmaxAttention"]


class PaddedSoftmaxAttention(torch.nn.Module):
    r"""Softmax attention in which a short history's padding positions take their share, as in RecTools' SASRec.

    A query that sees n interactions also sees N − n padding positions before them. All are zero vectors, so that they
    act as a single key and value of zeros, counted N − n times in the softmax: queries that match nothing attend to it.
    The biases of queries, keys and values learn how much. (RecTools counts N − n by the newest interaction of a
    training sequence; here a training position counts as it does in prediction.)

    Parameters
    ----------
    config
        Configuration with ``window`` (N).
    """

    def __init__(self, config: SpaceConfig) -> None:
        super().__init__()
        self.window = config.window

    def forward(
        self, query: Tensor, key: Tensor, value: Tensor, mask: Tensor, causal: bool, key_norm: str, dropout: float
    ) -> Tensor:
        """Attention of queries ``[B, heads, M, d_h]`` to interactions and padding.

        Parameters and shapes are those of :func:`~search_spaces.attention.linrec.linrec_attention`; ``key_norm`` is not
        used, ``dropout`` is the probability of dropping an attention weight.
        """
        length = key.shape[-2]
        allowed = mask[:, None, None, :]  # [B, 1, 1, N], or [B, 1, N, N] below
        seen = mask.sum(dim=1, keepdim=True)  # [B, 1], or [B, N] below
        if causal and query.shape[-2] == length:
            seen = mask.cumsum(dim=1)
            allowed = allowed & torch.ones(length, length, dtype=torch.bool, device=mask.device).tril()
        lowest = torch.finfo(query.dtype).min  # finite: padded positions of full histories have no key at all
        scores = torch.zeros_like(allowed, dtype=query.dtype).masked_fill(~allowed, lowest)
        padding = (self.window - seen).to(query.dtype)
        weight = torch.log(padding.clamp_min(1)).masked_fill(padding < 1, lowest)[:, None, :, None]
        key, value = F.pad(key, (0, 0, 1, 0)), F.pad(value, (0, 0, 1, 0))
        scores = torch.cat([weight, scores], dim=-1)
        return F.scaled_dot_product_attention(query, key, value, attn_mask=scores, dropout_p=dropout)
