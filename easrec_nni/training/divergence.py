"""Detection of diverged training: a one-line error, before anything of the epoch is saved."""

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
    """Callback that stops a run whose loss or weights are not finite.

    It checks once per epoch, after the last step and before validation: a check per iteration would make the CPU wait
    for the GPU each time. A loss can be finite although its step is not, so the weights are checked too. The files of
    earlier epochs (checkpoint, best weights, history) stay unchanged.

    Parameters
    ----------
    rates
        Learning rates by setting name, for the message.
    what
        Prefix of the message, such as ``candidate 3: ``.

    Raises
    ------
    DivergedError
        The loss or the weights are not finite; raised within the trainer's ``fit``.
    """

    def __init__(self, rates: Mapping[str, float], what: str = "") -> None:
        self.rates, self.what = rates, what
        self._losses: list[Tensor] = []
        self._is_checked = False

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Reset for a new epoch."""
        self._losses, self._is_checked = [], False

    def on_train_batch_end(self, trainer: Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Collect the loss without synchronising with the device."""
        loss = outputs["loss"] if isinstance(outputs, dict) else outputs
        self._losses.append(loss.detach())

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Check losses and weights before validation."""
        self._check(trainer, pl_module)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Check an epoch without validation."""
        if not self._is_checked:
            self._check(trainer, pl_module)

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Re-raise errors caused by non-finite numbers, such as a failed random draw, as divergence."""
        if isinstance(exception, DivergedError):  # raised by the ranking: weights finite but too large
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
        diverged = [number for number, loss in enumerate(self._losses) if not math.isfinite(loss)]
        epoch = trainer.current_epoch
        if epoch == 0 and (diverged[:1] == [0] or not self._losses):
            return DivergedError(
                f"{self.what}the loss is not finite before the first step: check the settings for extreme values, "
                "or give other initial weights (--scratch starts from fresh ones)"
            )
        where = f"from iteration {diverged[0]} on" if diverged else "after its last iteration"
        rates = ", ".join(f"{name}: {rate:g}" for name, rate in self.rates.items())
        precision = ", or precision: float32" if "bf16" in str(trainer.precision) else ""
        return DivergedError(
            f"{self.what}the training diverged: loss or weights are not finite in epoch {epoch} {where}, with {rates}. "
            f"Try a tenth of these rates{precision}, with --restart or another --out; earlier epochs are kept"
        )


def _weights(module: LightningModule) -> Iterator[Tensor]:
    """Parameters of a module, without options dropped by a strategy (logits of minus infinity)."""
    for name, weight in module.named_parameters():
        yield weight[weight != -math.inf] if name.startswith("logits.") else weight


def _finite(tensors: Iterable[Tensor]) -> bool:
    """Whether all values of all tensors are finite, with one device synchronisation."""
    flags = [tensor.detach().isfinite().all() for tensor in tensors]
    return not flags or bool(torch.stack(flags).all())
