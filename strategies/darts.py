"""DARTS: differentiable search with a plain softmax."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from strategies.constraint import CostTable
from strategies.differentiable import DifferentiableStrategy
from strategies.selection import NO_TEMPERATURE

__all__ = ["DARTS"]


class DARTS(DifferentiableStrategy):
    r"""Differentiable architecture search (Liu, Simonyan and Yang, ICLR 2019), first order.

    The mixture's weights are :math:`softmax(\alpha)` (Eq. 1 of EASRec's paper): no noise, no temperature. All layers
    share alpha, as defined by the space. First order (the authors' ``xi = 0``): steps of alpha and beta use the current
    weights.

    Differs from the publication: DARTS has no resource constraint, so that lambda is 0 by default; otherwise the
    expected cost under the mixture's weights is added, with a gradient (NNI's penalty has none). Alpha and beta use the
    same Adam as all strategies here, not the authors' betas (0.5, 0.999) and weight decay 1e-3.

    Parameters
    ----------
    cost_table, arch_learning_rate, arch_every, gradient_clip
        See :class:`~strategies.differentiable.DifferentiableStrategy`.
    lambda_
        Weight of the expected cost.
    temperature
        Ignored, as the temperature of DARTS is 1; for a signature common to all strategies.

    Examples
    --------
    >>> DARTS(cost_table={})
    DARTS(lambda=0.0, arch_every=1)
    """

    def __init__(
        self,
        cost_table: CostTable,
        *,
        lambda_: float = 0.0,
        temperature: Callable[[int], float] | None = None,
        **options: Any,
    ) -> None:
        super().__init__(cost_table, lambda_=lambda_, temperature=NO_TEMPERATURE, **options)
