"""Learning rate over a training: warm-up and decay."""

from __future__ import annotations

import math
from typing import Any

from pytorch_lightning import Callback, LightningModule, Trainer

from easrec_nni.architecture.training_settings import RetrainSettings

__all__ = ["RateSchedule", "rate_factor"]


def rate_factor(epochs: float, options: RetrainSettings) -> float:
    """Share of ``retrain.learning_rate`` after a number of epochs, with fractions.

    Linear from 0 to 1 over ``warmup_epochs``, then constant, or half a cosine that reaches 0 after ``epochs``.

    Examples
    --------
    >>> options = RetrainSettings(epochs=10, schedule="cosine", warmup_epochs=2)
    >>> [round(rate_factor(epoch, options), 3) for epoch in (1, 2, 6, 10)]
    [0.5, 1.0, 0.5, 0.0]
    """
    if epochs < options.warmup_epochs:
        return epochs / options.warmup_epochs
    if options.schedule == "constant":
        return 1.0
    progress = (epochs - options.warmup_epochs) / (options.epochs - options.warmup_epochs)
    return 0.5 + 0.5 * math.cos(math.pi * min(progress, 1.0))


class RateSchedule(Callback):
    """Callback that sets the learning rate of every step, which depends only on the epoch and the batch's number.

    A refit therefore repeats the rates of the validated run, also if that stopped long before ``retrain.epochs``.
    """

    def __init__(self, options: RetrainSettings) -> None:
        self.options = options

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Set the rate: that of the middle of the step, so that the first and last steps have one above 0."""
        epochs = trainer.current_epoch + (batch_idx + 0.5) / trainer.num_training_batches
        rate = self.options.learning_rate * rate_factor(epochs, self.options)
        for optimizer in trainer.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = rate
