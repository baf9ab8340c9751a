"""Efficient attention: softmax over features for queries, over positions for keys."""

from __future__ import annotations

from torch import Tensor

from search_spaces.attention.linear import is_causal_over_all, linear_attention
from search_spaces.exponent import SMALLEST_SUM, clipped_exp

__all__ = ["efficient_attention"]


def efficient_attention(
    query: Tensor, key: Tensor, value: Tensor, mask: Tensor, causal: bool, key_norm: str, dropout: float
) -> Tensor:
    r"""Efficient attention (Shen et al., WACV 2021): :math:`\rho_q(Q) (\rho_k(K)^T V)` per head.

    :math:`\rho_q` is a softmax over each query's features, :math:`\rho_k` one over the positions of each key feature
    (the publication's softmax normalisation, without further scale).

    The publication has no causal form. Here the key's softmax runs over positions up to the query's:

    .. math:: o_t = \sum_j \frac{\rho_q(q_t)_j}{\sum_{s \le t} e^{k_{sj}}} \sum_{s \le t} e^{k_{sj}} v_s

    The denominator only depends on the query's position; dividing the query by it leaves plain causal linear attention.
    Key logits are clipped to ±30 in both directions, so that all forms agree; see
    :func:`~search_spaces.exponent.clipped_exp`.

    Parameters and shapes are those of :func:`~search_spaces.attention.linrec.linrec_attention`; ``key_norm`` and
    ``dropout`` are not used.
    """
    key = clipped_exp(key) * mask[:, None, :, None].to(key.dtype)  # [B, heads, N, d_h]
    sums = key.cumsum(dim=-2) if is_causal_over_all(query, key, causal) else key.sum(dim=-2, keepdim=True)
    return linear_attention(query.softmax(dim=-1) / sums.clamp_min(SMALLEST_SUM), key, value, causal)
