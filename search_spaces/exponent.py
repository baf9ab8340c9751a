"""Clipped exponentials for cumulative softmaxes, which cannot subtract a maximum."""

from __future__ import annotations

from torch import Tensor

__all__ = ["LARGEST_EXPONENT", "SMALLEST_SUM", "clipped_exp"]

# Sums of products of two such exponentials stay well within float32's range (1e-38 to 3e38).
LARGEST_EXPONENT = 30.0
# Smaller than any single term, e^-30 = 9e-14; avoids division by zero in empty sums.
SMALLEST_SUM = 1e-20


def clipped_exp(logits: Tensor) -> Tensor:
    r""":math:`e^x` with x clipped to ±30.

    A softmax subtracts the largest logit before taking exponentials. A cumulative softmax over positions up to t
    cannot: if the largest logit lies in the future, the past underflows. Clipping needs no other position, and only
    changes logits beyond 30; those of normalised states are of order 1.
    """
    return logits.clamp(-LARGEST_EXPONENT, LARGEST_EXPONENT).exp()
