"""Linear attention with elu features ("Transformers are RNNs")."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from search_spaces.attention.linear import is_causal_over_all, linear_attention

__all__ = ["elu_attention"]

# Sums of weights are below this only without keys, or if features are so negative that elu + 1 loses its digits.
SMALLEST_TOTAL = 1e-6


def elu_attention(
    query: Tensor, key: Tensor, value: Tensor, mask: Tensor, causal: bool, key_norm: str, dropout: float
) -> Tensor:
    r"""Linear attention with :math:`\phi(x) = elu(x) + 1` (Katharopoulos et al., ICML 2020).

    .. math:: o_t = \frac{\phi(q_t)^T \sum_s \phi(k_s) v_s^T}{\phi(q_t)^T \sum_s \phi(k_s)}

    with s over all interactions, or over those up to t if causal. Weights are positive and sum to one, as in a softmax;
    there is no :math:`1/\sqrt{d_h}`, as in the publication.

    Parameters and shapes are those of :func:`~search_spaces.attention.linrec.linrec_attention`; ``key_norm`` and
    ``dropout`` are not used.
    """
    query = F.elu(query) + 1
    key = (F.elu(key) + 1) * mask[:, None, :, None].to(key.dtype)
    # [B, heads, N, d_h], or [B, heads, 1, d_h] over all keys
    sums = key.cumsum(dim=-2) if is_causal_over_all(query, key, causal) else key.sum(dim=-2, keepdim=True)
    total = (query * sums).sum(dim=-1, keepdim=True).clamp_min(SMALLEST_TOTAL)  # [B, heads, M, 1]
    return linear_attention(query, key, value, causal) / total
