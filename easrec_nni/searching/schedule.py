"""Learning rate of alpha and beta, from the total distance that a search may move them."""

from __future__ import annotations

import logging
import math

from easrec_nni.settings.search import SearchSettings

__all__ = ["LARGEST_MOVEMENT_PER_EPOCH", "architecture_learning_rate", "architecture_steps"]

_logger = logging.getLogger(__name__)

LARGEST_MOVEMENT_PER_EPOCH = 1.0
"""Nats; two logits that move apart by one nat each change the odds of their options by e² ≈ 7.4."""


def architecture_steps(settings: SearchSettings, iterations: int) -> int:
    """Number of steps of alpha and beta in a search that does not stop early, with ``iterations`` batches an epoch."""
    return max(1, math.ceil((settings.epochs - settings.warmup) * iterations / settings.arch_every))


def architecture_learning_rate(settings: SearchSettings, iterations: int) -> float:
    """Adam's learning rate for alpha and beta.

    The length of an Adam step is about its learning rate, whatever the gradient's size, so rate times number of steps
    bounds the movement of a logit. ``arch_movement`` is that bound for the whole search; a fixed rate per step would
    decide a long search in its first epoch. A warning is logged if one epoch can move a logit by more than
    :data:`LARGEST_MOVEMENT_PER_EPOCH`.

    Parameters
    ----------
    settings
        Search settings: epochs, ``arch_every``, and ``arch_movement`` or ``arch_learning_rate``.
    iterations
        Number of training batches in an epoch.
    """
    steps = architecture_steps(settings, iterations)
    rate = settings.arch_movement / steps if settings.arch_learning_rate is None else settings.arch_learning_rate
    movement_per_epoch = min(steps, math.ceil(iterations / settings.arch_every)) * rate
    if movement_per_epoch > LARGEST_MOVEMENT_PER_EPOCH:
        remedy = (
            f"lower search.arch_movement: {settings.arch_movement:g}, or raise search.epochs"
            if settings.arch_learning_rate is None
            else f"search.arch_learning_rate is {rate:g}; leave it out, and search.arch_movement sets it for the search"
        )
        _logger.warning(
            "alpha and beta can move %.1f nats in one epoch (more than %g): they may decide before the supernet has "
            "learnt its options; %s",
            movement_per_epoch,
            LARGEST_MOVEMENT_PER_EPOCH,
            remedy,
        )
    return rate
