"""The end of a training that diverged: one line, before anything of its epoch is kept."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from torch import Tensor

from easrec_nni.common.errors import DivergedError, UserError
from easrec_nni.training.parallel import average

__all__ = ["EndIfDiverged"]


class EndIfDiverged(Callback):
    """Ends a run whose loss or weights are not finite.

    It looks once an epoch, after the last step and before the network is validated: a look at every iteration would
    have the processor wait for the GPU each time. A loss can be finite while the step that it led to was not, so the
    weights are looked at too. What the epochs before have left (checkpoint, best weights, history) stays as it is.

    Parameters
    ----------
    rates
        Learning rates by the names of their settings, for the message.
    what
        What the message begins with, such as ``candidate 3: ``.

    Raises
    ------
    DivergedError
        From within the trainer's ``fit``.
    """

    def __init__(self, rates: Mapping[str, float], what: str = "") -> None:
        self.rates, self.what = rates, what
        self._losses: list[Tensor] = []
        self._is_checked = False

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Forget the epoch before."""
        self._losses, self._is_checked = [], False

    def on_train_batch_end(self, trainer: Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Collect the loss, without waiting for it."""
        loss = outputs["loss"] if isinstance(outputs, dict) else outputs
        self._losses.append(loss.detach())

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Look at losses and weights before they are validated."""
        self._check(trainer, pl_module)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Look at an epoch that was not validated."""
        if not self._is_checked:
            self._check(trainer, pl_module)

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Name the cause of what a computation with such numbers ended in, such as a draw by probabilities."""
        if isinstance(exception, DivergedError):  # raised by what ranks: the weights are finite and too large
            raise self._error(trainer) from exception
        if isinstance(exception, UserError) or not isinstance(exception, Exception):
            return
        if not _finite(self._losses) or not _finite(_weights(pl_module)):
            raise self._error(trainer) from exception

    def _check(self, trainer: Trainer, pl_module: LightningModule) -> None:
        finite = _finite(self._losses) and _finite(_weights(pl_module))
        if float(average(torch.tensor(float(finite)))) < 1:  # all processes end together
            raise self._error(trainer)
        self._is_checked = True

    def _error(self, trainer: Trainer) -> DivergedError:
        bad = [number for number, loss in enumerate(self._losses) if not math.isfinite(loss)]
        epoch = trainer.current_epoch
        if epoch == 0 and (bad[:1] == [0] or not self._losses):
            return DivergedError(
                f"{self.what}the loss is not finite before the first step: look for extreme values among the settings, "
                "or give other weights to start from (--scratch starts from fresh ones)"
            )
        where = f"from iteration {bad[0]} on" if bad else "after its last iteration"
        rates = ", ".join(f"{name}: {rate:g}" for name, rate in self.rates.items())
        precision = ", or precision: float32" if "bf16" in str(trainer.precision) else ""
        return DivergedError(
            f"{self.what}the training diverged: loss or weights are not finite in epoch {epoch} {where}, with {rates}. "
            f"Try a tenth of these rates{precision}, with --restart or another --out; what was complete before that "
            "epoch is kept"
        )


def _weights(module: LightningModule) -> Iterator[Tensor]:
    """Parameters; of alpha and beta without options that a strategy has dropped, whose logits are minus infinity."""
    for name, weight in module.named_parameters():
        yield weight[weight != -math.inf] if name.startswith("logits.") else weight


def _finite(tensors: Iterable[Tensor]) -> bool:
    """Whether all numbers of all tensors are finite; the device is waited for once."""
    flags = [tensor.detach().isfinite().all() for tensor in tensors]
    return not flags or bool(torch.stack(flags).all())
