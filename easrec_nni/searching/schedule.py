"""Learning rate of alpha and beta, from how far a search may move them in all."""

from __future__ import annotations

import logging
import math

from easrec_nni.settings.trial import SearchSettings

__all__ = ["LARGEST_MOVEMENT_PER_EPOCH", "architecture_learning_rate"]

_logger = logging.getLogger(__name__)

LARGEST_MOVEMENT_PER_EPOCH = 1.0
"""Nats. Two logits that move apart by one nat each change the odds of their options by e² = 7."""


def architecture_learning_rate(settings: SearchSettings, iterations: int) -> float:
    """Adam's rate for alpha and beta.

    A step of Adam is as long as its rate, whatever the gradient's size, so that rate times number of steps bounds how
    far a logit moves. ``arch_movement`` is that bound for a whole search; a rate per step would decide a long search in
    its first epoch. A warning names the number where one epoch can move a logit by more than
    :data:`LARGEST_MOVEMENT_PER_EPOCH`.

    Parameters
    ----------
    settings
        Epochs, f, and the movement or the rate.
    iterations
        Training batches of an epoch.
    """
    steps = max(1, math.ceil((settings.epochs - settings.warmup) * iterations / settings.arch_every))
    rate = settings.arch_movement / steps if settings.arch_learning_rate is None else settings.arch_learning_rate
    in_an_epoch = min(steps, math.ceil(iterations / settings.arch_every)) * rate
    if in_an_epoch > LARGEST_MOVEMENT_PER_EPOCH:
        cure = (
            f"search.arch_movement: {settings.arch_movement:g} asks for it, or set more search.epochs"
            if settings.arch_learning_rate is None
            else f"search.arch_learning_rate is {rate:g}; leave it out, and search.arch_movement sets it for the search"
        )
        _logger.warning(
            "alpha and beta can move %.1f nats in one epoch (more than %g): they may decide before the supernet has "
            "learnt what they choose from; %s",
            in_an_epoch,
            LARGEST_MOVEMENT_PER_EPOCH,
            cure,
        )
    return rate
