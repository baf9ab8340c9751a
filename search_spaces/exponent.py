"""Exponentials that can be summed over positions without a maximum to subtract."""

from __future__ import annotations

from torch import Tensor

__all__ = ["LARGEST_EXPONENT", "SMALLEST_SUM", "clipped_exp"]

# Products of two such exponentials, summed over any width, are far from the ends of float32's range (1e-38 to 3e38).
LARGEST_EXPONENT = 30.0
# Less than any sum with a term in it, e^-30 = 9e-14, so that sums without one do not divide by zero.
SMALLEST_SUM = 1e-20


def clipped_exp(logits: Tensor) -> Tensor:
    r""":math:`e^x` with x clipped to ±30.

    A softmax subtracts the largest logit before it takes exponentials. A cumulative one, over the positions up to t,
    cannot: the largest of all may be of the future, and then the past underflows. Clipping depends on each position
    alone. What it changes are logits beyond 30: those of normalised states are of order 1.
    """
    return logits.clamp(-LARGEST_EXPONENT, LARGEST_EXPONENT).exp()
