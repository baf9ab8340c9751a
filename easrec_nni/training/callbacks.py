"""Lightning callbacks: keep the best weights, checkpoint, stop early, report each epoch."""

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
from easrec_nni.common.run_files import HISTORY_FILE
from easrec_nni.evaluation.selection import score_of
from easrec_nni.training.history import write_history
from easrec_nni.training.parallel import all_gather, average, is_first, rank
from easrec_nni.training.random_states import random_state, set_random_state

__all__ = ["AveragedWeights", "BEFORE_TRAINING", "EpochOrder", "EpochRecord", "SavePoint"]

BEFORE_TRAINING = -1
"""Epoch number of the validation before training; its row has no training loss (NaN)."""

CPU = torch.device("cpu")

_logger = logging.getLogger(__name__)


class EpochOrder(Callback):
    """Callback that sets the epoch of the training batches, which determines their order."""

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Set the epoch before the first batch is made."""
        trainer.train_dataloader.set_epoch(trainer.current_epoch)


class EpochRecord(Callback):
    """History of a run, best weights, and early stopping.

    If the trainer validates before training (Lightning's sanity check), the initial network gets a row of epoch
    :data:`BEFORE_TRAINING` and competes with the epochs; patience counts from the best trained one. All processes of a
    run keep the same record, so that they stop together; only the first one writes and reports.

    Parameters
    ----------
    folder
        Folder for ``best.safetensors`` and ``history.csv``.
    monitor
        Metric that selects the best epoch (``select_by``).
    patience
        Number of epochs without improvement after which the run stops.
    weights
        Function that returns the weights to save.
    extra
        Function that returns further columns of an epoch's row.
    on_epoch
        Function called with every epoch's row.
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
        self.best_epoch, self.best_score = -1, -math.inf
        self._losses: list[Tensor] = []
        self._began = time.perf_counter()

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Stop at once if the resumed run had already run out of patience."""
        trainer.should_stop = self.out_of_patience

    def on_sanity_check_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clock of the validation before training."""
        self._began = time.perf_counter()

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clock."""
        self._losses, self._began = [], time.perf_counter()

    def on_train_batch_end(self, trainer: Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Collect the loss without synchronising with the device."""
        loss = outputs["loss"] if isinstance(outputs, dict) else outputs
        self._losses.append(loss.detach())

    def on_validation_end(self, trainer: Trainer, pl_module: Any) -> None:
        """Record the epoch, keep the best weights, report, and stop if out of patience."""
        module = getattr(pl_module, "training_module", pl_module)
        epoch = BEFORE_TRAINING if trainer.sanity_checking else trainer.current_epoch
        row = {**self.measured(epoch), **module.metrics, **(self.extra() if self.extra else {})}
        self.history.append(row)
        self.keep_best(row)
        if is_first():
            write_history(self.history, self.folder / HISTORY_FILE)
        if epoch == BEFORE_TRAINING:
            _logger.info("before training: %s %.4f, %.1f s", self.monitor, row[self.monitor], row["seconds"])
        else:
            self._log(row)
        if self.on_epoch:
            self.on_epoch(row)
        if self.out_of_patience:
            trainer.should_stop = True

    def measured(self, epoch: int) -> dict[str, float]:
        """Columns of a row that need no validation: epoch, mean training loss and seconds."""
        return {
            "epoch": epoch,
            "train_loss": float(average(torch.stack(self._losses).mean())) if self._losses else math.nan,
            "seconds": time.perf_counter() - self._began,
        }

    def _log(self, row: dict[str, float]) -> None:
        best = f"best {self.best_figure:.4f} " + (
            "before training" if self.best_epoch == BEFORE_TRAINING else f"in epoch {self.best_epoch}"
        )
        _logger.info(
            "epoch %d: loss %.4f, %s %.4f (%s), %.1f s",
            row["epoch"],
            row["train_loss"],
            self.monitor,
            row[self.monitor],
            best if math.isfinite(self.best_score) else "warm-up",
            row["seconds"],
        )

    def score(self, row: dict[str, float]) -> float:
        """Monitored metric of an epoch, as a score to maximise."""
        return score_of(self.monitor, row[self.monitor])

    @property
    def best_figure(self) -> float:
        """Monitored metric of the best epoch."""
        return score_of(self.monitor, self.best_score)

    def keep_best(self, row: dict[str, float]) -> None:
        """Save the weights if they are the best so far."""
        if self.score(row) > self.best_score:
            self.best_score, self.best_epoch = self.score(row), int(row["epoch"])
            if is_first():
                save_weights(self.weights(), self.folder / "best.safetensors")

    @property
    def out_of_patience(self) -> bool:
        """Whether the last ``patience`` epochs brought no improvement on the trained epochs before them.

        The initial network does not count: with a fresh optimiser, weights that start from inherited ones first get
        worse, and pass them only after some epochs.
        """
        trained = [row for row in self.history if row["epoch"] != BEFORE_TRAINING]
        if not trained:
            return False
        return bool(trained[-1]["epoch"] - max(trained, key=self.score)["epoch"] >= self.patience)

    def state_dict(self) -> dict[str, Any]:
        """State for the checkpoint."""
        return {"history": self.history, "best_epoch": self.best_epoch, "best_score": self.best_score}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the state from a checkpoint."""
        self.history = list(state_dict["history"])
        self.best_epoch, self.best_score = state_dict["best_epoch"], state_dict["best_score"]


class AveragedWeights(Callback):
    """Exponential moving average of the weights, for validation and saving only.

    It must come after :class:`EpochRecord` in the list, which must see the average at the end of a validation.

    Parameters
    ----------
    network
        Network being trained.
    decay
        Weight of the previous average in each step.
    """

    def __init__(self, network: torch.nn.Module, decay: float) -> None:
        self.network, self.decay, self.steps = network, decay, 0
        self.average: dict[str, Tensor] = {}
        self._trained: dict[str, Tensor] = {}

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Start from the network's weights, before a checkpoint replaces both; a search has wrapped them by now."""
        self.average = {name: weight.detach().clone() for name, weight in self.network.named_parameters()}

    @torch.no_grad()
    def on_train_batch_end(self, trainer: Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Update the average, with a smaller decay in the first steps to forget the initial weights."""
        self.steps += 1
        decay = min(self.decay, self.steps / (self.steps + 9))
        for name, weight in self.network.named_parameters():
            self.average[name] = self.average[name].to(weight.device).lerp_(weight, 1 - decay)

    def weights(self) -> dict[str, Tensor]:
        """State dict of the network with averaged weights."""
        return {**self.network.state_dict(), **self.average}

    @torch.no_grad()
    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Swap the average into the network."""
        if self.steps:
            self._trained = {name: weight.detach().clone() for name, weight in self.network.named_parameters()}
            for name, weight in self.network.named_parameters():
                weight.copy_(self.average[name])

    @torch.no_grad()
    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Swap the trained weights back into the network."""
        for name, weight in self.network.named_parameters() if self._trained else ():
            weight.copy_(self._trained[name])
        self._trained = {}

    def state_dict(self) -> dict[str, Any]:
        """State for the checkpoint."""
        return {"average": self.average, "steps": self.steps}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the state from a checkpoint."""
        self.average, self.steps = dict(state_dict["average"]), state_dict["steps"]


class SavePoint(Checkpoint):
    """Checkpoint of the whole run after every epoch; a killed run loses only the current epoch.

    Lightning runs ``Checkpoint`` subclasses after all other callbacks, so their saved state includes the epoch.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / "last.ckpt"
        self._to_restore: dict[str, Tensor] = {}
        self._all_states: list[dict[str, Tensor]] = []

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Restore the random states of a resumed run."""
        for kind, state in self._to_restore.items():
            if kind in (CPU.type, pl_module.device.type):  # a run may resume on another kind of device
                set_random_state(state, CPU if kind == CPU.type else pl_module.device)
        self._to_restore = {}

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the checkpoint atomically: a killed run must not leave half of it."""
        devices = {CPU.type: CPU, pl_module.device.type: pl_module.device}
        self._all_states = all_gather({kind: random_state(device) for kind, device in devices.items()})
        if is_first():
            with atomic_write(self.path) as temporary:
                trainer.save_checkpoint(temporary)

    def state_dict(self) -> dict[str, Any]:
        """Random states of every process: dropout and Gumbel noise are drawn on the network's device.

        The CPU states keep the keys of earlier versions, which saved no others.
        """
        first, *others = (states[CPU.type] for states in self._all_states)
        document: dict[str, Any] = {"random_state": first}
        if others:
            document["random_states_of_others"] = others
        if len(self._all_states[0]) > 1:
            document["device_random_states"] = self._all_states
        return document

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Hold the states until the next epoch starts: setting up a trainer may use random numbers."""
        states = [state_dict["random_state"], *state_dict.get("random_states_of_others", [])]
        device_states = state_dict.get("device_random_states", [{CPU.type: state} for state in states])
        self._to_restore = device_states[rank()]
