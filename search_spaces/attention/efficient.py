"""Efficient attention: a softmax over features for queries, one over positions for keys."""

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
    (the publication's softmax normalisation, which has no further scale).

    The publication has no causal form. Here a key's softmax then runs over the positions up to the query's:

    .. math:: o_t = \sum_j \frac{\rho_q(q_t)_j}{\sum_{s \le t} e^{k_{sj}}} \sum_{s \le t} e^{k_{sj}} v_s

    The denominator depends on the query's position alone and is moved over to the query, which leaves plain causal
    linear attention. Key logits are clipped to ±30, in either direction, so that all forms are one function: see
    :func:`~search_spaces.exponent.clipped_exp`.

    Parameters and shapes as in :func:`~search_spaces.attention.linrec.linrec_attention`; ``key_norm`` and ``dropout``
    are not used.
    """
    key = clipped_exp(key) * mask[:, None, :, None].to(key.dtype)
    sums = key.cumsum(dim=-2) if is_causal_over_all(query, key, causal) else key.sum(dim=-2, keepdim=True)
    return linear_attention(query.softmax(dim=-1) / sums.clamp_min(SMALLEST_SUM), key, value, causal)
