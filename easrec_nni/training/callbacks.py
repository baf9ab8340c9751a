"""What happens at the end of an epoch: the best network is kept, the run can be resumed, somebody is told."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.callbacks import Checkpoint
from torch import Tensor

from easrec_nni.architecture.weights import save_weights
from easrec_nni.common.files import atomic_write
from easrec_nni.training.history import write_history
from easrec_nni.training.parallel import average, gathered, is_first, rank
from easrec_nni.training.random_states import random_state, set_random_state

__all__ = ["AveragedWeights", "BEFORE_TRAINING", "EpochOrder", "EpochRecord", "SavePoint"]

BEFORE_TRAINING = -1
"""Epoch of the row that judges the network as a training begins with it; it has no training loss (NaN)."""

CPU = torch.device("cpu")

_logger = logging.getLogger(__name__)


class EpochOrder(Callback):
    """Tells the training batches which epoch it is: their order depends on nothing else."""

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Before the first batch is made."""
        trainer.train_dataloader.set_epoch(trainer.current_epoch)


class EpochRecord(Callback):
    """History of a run, its best epoch's weights, and early stopping.

    Where the trainer validates before it trains (Lightning's sanity check), the network that it begins with has a row
    of its own, of epoch :data:`BEFORE_TRAINING`, and competes with the epochs. All processes of a run keep the same
    record, so that they stop together; the first one writes and tells.

    Parameters
    ----------
    folder
        Where ``best.safetensors`` and ``history.csv`` are written.
    monitor
        Metric to maximise.
    patience
        Epochs without gain after which the run stops.
    weights
        Gives the weights to keep.
    extra
        Gives further columns for an epoch's row.
    on_epoch
        Told every epoch's row.
    """

    def __init__(
        self,
        folder: Path,
        monitor: str,
        patience: int,
        weights: Callable[[], dict[str, Tensor]],
        extra: Callable[[], dict[str, float]] | None = None,
        on_epoch: Callable[[dict[str, float]], None] | None = None,
    ) -> None:
        self.folder, self.monitor, self.patience = folder, monitor, patience
        self.weights, self.extra, self.on_epoch = weights, extra, on_epoch
        self.history: list[dict[str, float]] = []
        self.best_epoch, self.best_score = -1, -1.0
        self._losses: list[Tensor] = []
        self._began = time.perf_counter()

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Do not train on where the run had stopped before it was killed."""
        trainer.should_stop = self.out_of_patience

    def on_sanity_check_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clock of the validation before the training."""
        self._began = time.perf_counter()

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clock."""
        self._losses, self._began = [], time.perf_counter()

    def on_train_batch_end(self, trainer: Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Collect the loss, without waiting for it."""
        loss = outputs["loss"] if isinstance(outputs, dict) else outputs
        self._losses.append(loss.detach())

    def on_validation_end(self, trainer: Trainer, pl_module: Any) -> None:
        """Judge the epoch."""
        module = getattr(pl_module, "training_module", pl_module)
        epoch = BEFORE_TRAINING if trainer.sanity_checking else trainer.current_epoch
        row = {**self.measured(epoch), **module.metrics, **(self.extra() if self.extra else {})}
        self.history.append(row)
        self.keep_best(row)
        if is_first():
            write_history(self.history, self.folder / "history.csv")
        if epoch == BEFORE_TRAINING:
            _logger.info("before training: %s %.4f, %.1f s", self.monitor, self.best_score, row["seconds"])
        else:
            self._say(row)
        if self.on_epoch:
            self.on_epoch(row)
        if self.out_of_patience:
            trainer.should_stop = True

    def measured(self, epoch: int) -> dict[str, float]:
        """Columns that an epoch has without validation: number, mean training loss and seconds."""
        return {
            "epoch": epoch,
            "train_loss": float(average(torch.stack(self._losses).mean())) if self._losses else math.nan,
            "seconds": time.perf_counter() - self._began,
        }

    def _say(self, row: dict[str, float]) -> None:
        best = f"best {self.best_score:.4f} " + (
            "before training" if self.best_epoch == BEFORE_TRAINING else f"in epoch {self.best_epoch}"
        )
        _logger.info(
            "epoch %d: loss %.4f, %s %.4f (%s), %.1f s",
            row["epoch"],
            row["train_loss"],
            self.monitor,
            row[self.monitor],
            best if self.best_score >= 0 else "warm-up",
            row["seconds"],
        )

    def keep_best(self, row: dict[str, float]) -> None:
        """Keep weights that are the best so far."""
        if row[self.monitor] > self.best_score:
            self.best_score, self.best_epoch = row[self.monitor], int(row["epoch"])
            if is_first():
                save_weights(self.weights(), self.folder / "best.safetensors")

    @property
    def out_of_patience(self) -> bool:
        """Whether the last ``patience`` epochs brought no gain."""
        return bool(self.history) and self.history[-1]["epoch"] - self.best_epoch >= self.patience

    def state_dict(self) -> dict[str, Any]:
        """What a resumed run must know."""
        return {"history": self.history, "best_epoch": self.best_epoch, "best_score": self.best_score}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take it back."""
        self.history = list(state_dict["history"])
        self.best_epoch, self.best_score = state_dict["best_epoch"], state_dict["best_score"]


class AveragedWeights(Callback):
    """Exponential moving average of the weights, validated and kept in their place; the training goes on with its own.

    It stands behind the :class:`EpochRecord`, which must see the average at the end of a validation.

    Parameters
    ----------
    network
        Network that is trained.
    decay
        Share of the average that a step leaves.
    """

    def __init__(self, network: torch.nn.Module, decay: float) -> None:
        self.network, self.decay, self.steps = network, decay, 0
        self.average = {name: weight.detach().clone() for name, weight in network.named_parameters()}
        self._own: dict[str, Tensor] = {}

    @torch.no_grad()
    def on_train_batch_end(self, trainer: Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Move the average towards the weights; the first steps count more, so that the beginning is forgotten."""
        self.steps += 1
        decay = min(self.decay, self.steps / (self.steps + 9))
        for name, weight in self.network.named_parameters():
            self.average[name] = self.average[name].to(weight.device).lerp_(weight, 1 - decay)

    def weights(self) -> dict[str, Tensor]:
        """State of the network with the average in it."""
        return {**self.network.state_dict(), **self.average}

    @torch.no_grad()
    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Put the average into the network."""
        if self.steps:
            self._own = {name: weight.detach().clone() for name, weight in self.network.named_parameters()}
            for name, weight in self.network.named_parameters():
                weight.copy_(self.average[name])

    @torch.no_grad()
    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Put the training's own weights back."""
        for name, weight in self.network.named_parameters() if self._own else ():
            weight.copy_(self._own[name])
        self._own = {}

    def state_dict(self) -> dict[str, Any]:
        """What a resumed run must know."""
        return {"average": self.average, "steps": self.steps}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take it back."""
        self.average, self.steps = dict(state_dict["average"]), state_dict["steps"]


class SavePoint(Checkpoint):
    """Saves the run's whole state after every epoch; a kill loses the epoch that was running.

    A subclass of Lightning's ``Checkpoint`` runs after all other callbacks, so that their state is the epoch's.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / "last.ckpt"
        self._to_restore: dict[str, Tensor] = {}
        self._all_states: list[dict[str, Tensor]] = []

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Put the random numbers of a resumed run back to where they were."""
        for kind, state in self._to_restore.items():
            if kind in (CPU.type, pl_module.device.type):  # a run can go on on another kind of device
                set_random_state(state, CPU if kind == CPU.type else pl_module.device)
        self._to_restore = {}

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write under a temporary name first: a kill must not leave half a checkpoint."""
        drawing = {CPU.type: CPU, pl_module.device.type: pl_module.device}
        self._all_states = gathered({kind: random_state(device) for kind, device in drawing.items()})
        if is_first():
            with atomic_write(self.path) as temporary:
                trainer.save_checkpoint(temporary)

    def state_dict(self) -> dict[str, Any]:
        """Random states of every process, for dropout and Gumbel noise, which are drawn on the network's device.

        What a version that knew the CPU's generator alone has read, it still finds.
        """
        first, *others = (states[CPU.type] for states in self._all_states)
        written: dict[str, Any] = {"random_state": first}
        if others:
            written["random_states_of_others"] = others
        if len(self._all_states[0]) > 1:
            written["device_random_states"] = self._all_states
        return written

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Keep it until the next epoch begins: setting a trainer up may use random numbers."""
        states = [state_dict["random_state"], *state_dict.get("random_states_of_others", [])]
        of_devices = state_dict.get("device_random_states", [{CPU.type: state} for state in states])
        self._to_restore = of_devices[rank()]
