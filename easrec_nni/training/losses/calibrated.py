"""Loss at the best scale of the scores, for comparing networks that are over-confident to different degrees."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from easrec_nni.training.losses.base import ItemLoss

__all__ = ["Calibrated", "best_scale"]

SMALLEST_SCALE, LARGEST_SCALE = 0.125, 2.0
STEPS = 8
_RATIO = (math.sqrt(5) - 1) / 2


class Calibrated(ItemLoss):
    r"""Smallest loss over all scales of the scores: :math:`\min_s L(s \cdot scores)`.

    Networks that overfit are over-confident before they rank worse: the wider the sooner. Their scores are right up to
    a factor (the temperature of Guo, Pleiss, Sun and Weinberger, ICML 2017), which does not move any item in a ranking
    and decides the cross entropy. At the best scale the gradient for everything else is that of the minimum. Each
    micro-batch, and each process of a distributed search, takes the best scale of its own targets.

    Parameters
    ----------
    loss
        Loss to scale the scores of.
    """

    def __init__(self, loss: ItemLoss) -> None:
        super().__init__(loss.n_items)
        self.loss, self.needs_negatives = loss, loss.needs_negatives

    def __call__(self, network: Any, states: Tensor, targets: Tensor, negatives: Tensor | None) -> Tensor:
        """Mean loss at the best scale; see :meth:`.ItemLoss.__call__`."""
        with torch.no_grad():
            scale = best_scale(lambda factor: float(self.loss(network, factor * states, targets, negatives)))
        return self.loss(network, scale * states, targets, negatives)


def best_scale(loss: Callable[[float], float]) -> float:
    """Scale with the smallest loss by golden-section search over its logarithm; a cross entropy is convex in it.

    Examples
    --------
    >>> round(best_scale(lambda scale: (scale - 0.5) ** 2), 2)
    0.5
    """
    low, high = math.log(SMALLEST_SCALE), math.log(LARGEST_SCALE)
    inner = [high - _RATIO * (high - low), low + _RATIO * (high - low)]
    values = [loss(math.exp(place)) for place in inner]
    for _ in range(STEPS):
        if values[0] < values[1]:
            high, inner[1], values[1] = inner[1], inner[0], values[0]
            inner[0] = high - _RATIO * (high - low)
            values[0] = loss(math.exp(inner[0]))
        else:
            low, inner[0], values[0] = inner[0], inner[1], values[1]
            inner[1] = low + _RATIO * (high - low)
            values[1] = loss(math.exp(inner[1]))
    return math.exp(inner[0] if values[0] < values[1] else inner[1])
