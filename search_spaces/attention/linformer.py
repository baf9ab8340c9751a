"""Linformer: softmax attention over learned mixtures of positions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

if TYPE_CHECKING:
    from search_spaces.config import SpaceConfig

__all__ = ["LinformerAttention"]


class LinformerAttention(nn.Module):
    r"""Linformer (Wang et al., arXiv 2006.04768).

    Per head it computes :math:`softmax(Q (E K)^T / \sqrt{d_h}) F V`.

    E and F are learned projections of N positions to k, one pair per layer shared by its heads (the publication's
    headwise sharing), independent of the block's width.

    Rows of E are positions counted from the newest interaction, like position embeddings with ``positions="from_end"``:
    padding does not change the weights that an interaction meets. Rows of missing positions are not used, as if keys
    and values were zero there (the authors' program slices E for shorter sequences). Every query sees every mixture and
    every mixture sees all positions, so that there is no causal form.

    Parameters
    ----------
    config
        Configuration with ``window`` (N) and ``linformer_rank`` (k, at most N).
    """

    def __init__(self, config: SpaceConfig) -> None:
        super().__init__()
        shape = config.window, min(config.linformer_rank, config.window)
        self.keys, self.values = nn.Parameter(torch.empty(shape)), nn.Parameter(torch.empty(shape))
        for weight in (self.keys, self.values):
            nn.init.xavier_uniform_(weight)

    def forward(
        self, query: Tensor, key: Tensor, value: Tensor, mask: Tensor, causal: bool, key_norm: str, dropout: float
    ) -> Tensor:
        """Attention of queries ``[B, heads, M, d_h]`` over all positions.

        Parameters and shapes are those of :func:`~search_spaces.attention.linrec.linrec_attention`; ``key_norm`` is not
        used, ``dropout`` is the probability of dropping an attention weight.

        Raises
        ------
        ValueError
            ``causal`` is true.
        """
        if causal:
            raise ValueError("linformer has no causal form: set direction='bidirectional'")
        after = mask.long().flip(1).cumsum(1).flip(1)  # [B, N] interactions from here to the end, including this one
        places = (after - 1).clamp(0, self.keys.shape[0] - 1)
        key, value = (
            self._project(tensor, F.embedding(places, weight) * mask[..., None].to(weight.dtype))
            for tensor, weight in ((key, self.keys), (value, self.values))
        )
        return F.scaled_dot_product_attention(query, key, value, dropout_p=dropout)

    @staticmethod
    def _project(tensor: Tensor, weights: Tensor) -> Tensor:
        """Project ``[B, heads, N, d_h]`` with ``[B, N, k]`` to ``[B, heads, k, d_h]``."""
        batch, heads, _, width = tensor.shape
        projected = weights.transpose(1, 2) @ tensor.transpose(1, 2).flatten(2)  # [B, k, heads * d_h]
        return projected.view(batch, -1, heads, width).transpose(1, 2)
