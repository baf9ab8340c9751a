"""Fast CPU dropout: eight mask values per random number, where torch draws one."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["dropout", "dropout_mask"]

LEVELS = 256  # values of a random byte


def dropout(states: Tensor, probability: float, training: bool) -> Tensor:
    """Zero elements at random and scale the others, so that the expectation is unchanged.

    Each 64-bit random number decides eight elements, so that the probability is rounded to a multiple of 1/256 (0.2 to
    51/256), for which the scale is exact. On two cores, torch's masks took 16 % of an iteration of the supernet
    with dropout 0.2.

    Parameters
    ----------
    states
        Tensor of any shape.
    probability
        Probability of zeroing an element, in [0, 1).
    training
        Whether to apply dropout; if not, the states are returned.
    """
    mask = dropout_mask(states, probability, training)
    return states if mask is None else states * mask


def dropout_mask(states: Tensor, probability: float, training: bool) -> Tensor | None:
    """Mask that :func:`dropout` multiplies with, of the states' shape; None without dropout."""
    dropped = min(round(probability * LEVELS), LEVELS - 1)
    if not training or dropped == 0:
        return None
    words = torch.empty((states.numel() + 7) // 8, dtype=torch.int64, device=states.device)
    words.random_(-(2**63), None)  # all 64 bits; by default the sign bit stays 0
    draws = words.view(torch.uint8)[: states.numel()].view(states.shape)
    return (draws >= dropped).to(states.dtype).mul_(LEVELS / (LEVELS - dropped))
