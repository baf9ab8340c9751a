"""Softmax attention that knows how many interactions ago a key was."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

if TYPE_CHECKING:
    from search_spaces.config import SpaceConfig

__all__ = ["RelativeAttention"]


class RelativeAttention(nn.Module):
    r"""Softmax attention with a learned bias for each distance: :math:`softmax(Q K^T / \sqrt{d_h} + b_{i-j}) V`.

    A bias belongs to a head and to the number of interactions between query and key, as in T5 (Raffel et al., JMLR
    2020) without its buckets, and in HSTU (Zhai et al., ICML 2024). Distances are counted over interactions alone, so
    that padding may be anywhere.

    Parameters
    ----------
    config
        ``window`` (N) and ``heads``.
    """

    def __init__(self, config: SpaceConfig) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(config.heads, config.window))

    def forward(
        self, query: Tensor, key: Tensor, value: Tensor, mask: Tensor, causal: bool, key_norm: str, dropout: float
    ) -> Tensor:
        """Attention of queries ``[B, heads, M, d_h]`` to the keys, ``[B, heads, M, d_h]``; M = N or 1.

        Parameters and shapes as in :func:`~search_spaces.attention.linrec.linrec_attention`; ``key_norm`` is not used,
        ``dropout`` is the probability of dropping an attention weight.
        """
        counts = mask.long().cumsum(1)  # [B, N] interactions up to here
        asked = counts if query.shape[-2] == key.shape[-2] else counts[:, -1:]
        distance = asked[:, :, None] - counts[:, None, :]  # [B, M, N], negative for later keys
        allowed = mask[:, None, :] & (distance >= 0) if causal else mask[:, None, :].expand_as(distance)
        bias = self.bias[:, distance.abs().clamp_max(self.bias.shape[1] - 1)].transpose(0, 1)  # [B, heads, M, N]
        lowest = torch.finfo(query.dtype).min  # finite: a row without any key must not become NaN
        scores = bias.to(query.dtype).masked_fill(~allowed[:, None], lowest)
        return F.scaled_dot_product_attention(query, key, value, attn_mask=scores, dropout_p=dropout)
