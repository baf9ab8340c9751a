"""DARTS: the plain differentiable search."""

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
    share alpha, as the space has it. First order (the authors' ``xi = 0``): the step of alpha and beta takes the
    weights as they are.

    Differs from the publication: DARTS knows no resource constraint, so lambda is 0 unless it is given; a lambda adds
    the expected cost under the mixture's weights, with a gradient (NNI's own penalty has none). Alpha and beta have the
    Adam of all strategies here, without the authors' betas (0.5, 0.999) and weight decay 1e-3.

    Parameters
    ----------
    cost_table, arch_learning_rate, arch_every, gradient_clip
        See :class:`~strategies.differentiable.DifferentiableStrategy`.
    lambda_
        Weight of the expected cost.
    temperature
        Taken so that all strategies are called alike, and not used: the temperature of DARTS is 1.

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
