"""Refit: retraining on training and validation interactions together, before serving.

The newest interaction of a user tells most about the next one, and early stopping excludes it from the training. So the
validated run determines the number of epochs, and a second run from the same initial weights trains as long on both
parts, without validation. Its figures are only those of the test set and end in ``_refitted``: a network that has seen
one more interaction of every user is not comparable with those that have not.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Literal

from pytorch_lightning import LightningModule, Trainer

from easrec_nni.architecture.document import Architecture
from easrec_nni.architecture.weights import read_weights, save_weights
from easrec_nni.common.files import atomic_copy, write_json
from easrec_nni.common.run_files import ARCHITECTURE_FILE, HISTORY_FILE, METRICS_FILE, RANKS_FILE, WEIGHTS_FILE
from easrec_nni.evaluation.figures import PROTOCOLS, REFITTED
from easrec_nni.evaluation.final import rank_arrays
from easrec_nni.evaluation.rank_files import write_ranks
from easrec_nni.evaluation.scoring import evaluate_fully
from easrec_nni.retraining.metrics import RefitMetrics, RefitTraining
from easrec_nni.training.callbacks import AveragedWeights, EpochOrder, EpochRecord, SavePoint
from easrec_nni.training.context import TrialContext
from easrec_nni.training.divergence import EndIfDiverged
from easrec_nni.training.history import write_history
from easrec_nni.training.losses import ItemLoss
from easrec_nni.training.micro_batch_size import MicroBatchSize
from easrec_nni.training.module import SequenceModule
from easrec_nni.training.parallel import is_first, seed_rank
from easrec_nni.training.run_folder import RunFolder
from easrec_nni.training.trainer import make_trainer
from search_spaces import EASRecNetwork

__all__ = ["finish_refit", "fit_again"]

_logger = logging.getLogger(__name__)


class _RefitRecord(EpochRecord):
    """Record of a fixed number of epochs, its patience, without validation; saves the last epoch's weights."""

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Record the epoch; stop after the last one."""
        row = self.measured(trainer.current_epoch)
        self.history.append(row)
        if is_first():
            write_history(self.history, self.folder / HISTORY_FILE)
            if self.out_of_patience:
                save_weights(self.weights(), self.folder / "best.safetensors")
        _logger.info("epoch %d, not validated: loss %.4f, %.1f s", row["epoch"], row["train_loss"], row["seconds"])
        if self.on_epoch:
            self.on_epoch(row)
        if self.out_of_patience:
            trainer.should_stop = True

    @property
    def out_of_patience(self) -> bool:
        """Whether all epochs are done."""
        return len(self.history) >= self.patience


def fit_again(
    network: EASRecNetwork,
    context: TrialContext,
    folder: RunFolder,
    epochs: int,
    progress: bool,
    on_epoch: Callable[[dict[str, float]], None] | None = None,
    through: Literal["valid", "test"] = "valid",
    loss: ItemLoss | None = None,
) -> list[dict[str, float]]:
    """Train a network on training and validation interactions, or on all; return its epochs' rows.

    Parameters
    ----------
    network
        Network with the initial weights of the validated run.
    context
        Context of the validated run.
    folder
        Folder of the refit, which can be resumed.
    epochs
        Number of training epochs of the validated run's best network.
    progress, on_epoch
        Options of :func:`~easrec_nni.retraining.stage.retrain`.
    through
        Last part that trains; see :meth:`~easrec_nni.data.splits.base.Split.training_end`.
    loss
        Training loss; that of the settings by default.
    """
    settings, options = context.settings, context.settings.retrain
    averaged = [AveragedWeights(network, options.averaging)] if options.averaging else []
    weights = averaged[0].weights if averaged else network.state_dict
    record = _RefitRecord(folder.state, "train_loss", epochs, weights=weights, on_epoch=on_epoch)
    size = MicroBatchSize(settings.micro_batch)
    module = SequenceModule(
        context.dataset,
        options,
        loss=loss or context.loss(),
        micro_batch=size,
    )
    module.set_model(network)
    guard = EndIfDiverged({"retrain.learning_rate": options.learning_rate}, "without validation: ")
    callbacks = [guard, EpochOrder(), record, *averaged, SavePoint(folder.state)]
    trainer = make_trainer(epochs, callbacks, progress, settings.precision)
    seed_rank(settings.seed)
    batches = context.trained_through(through).training_batches(options.batch_size)
    trainer.fit(module, batches, ckpt_path=folder.checkpoint, weights_only=True)
    return record.history


def finish_refit(
    network: EASRecNetwork,
    architecture: Architecture,
    context: TrialContext,
    folder: RunFolder,
    history: list[dict[str, float]],
) -> RefitMetrics:
    """Evaluate a refitted network on the test set and write its files; return its ``metrics.json``.

    Parameters
    ----------
    network
        Network after :func:`fit_again`.
    architecture
        Architecture for the folder's ``architecture.json``, without the figures.
    context
        Context of the validated run, so that no test target has been trained on.
    folder, history
        Folder of the refit, and the rows of its epochs.
    """
    network.load_state_dict(read_weights(folder.state / "best.safetensors"))
    save_weights(network.state_dict(), folder.path / WEIGHTS_FILE)
    figures, ranks = evaluate_fully(network.eval(), context.dataset, "test", protocols=PROTOCOLS)
    test = {f"{name}{REFITTED}": value for name, value in figures.items()}
    write_ranks(rank_arrays(ranks, context.dataset, REFITTED), folder.path / RANKS_FILE)
    metrics_of_test = {f"retrained_test_{name}": value for name, value in test.items()}
    architecture.model_copy(update={"metrics": {**architecture.metrics, **metrics_of_test}}).write(
        folder.path / ARCHITECTURE_FILE
    )
    atomic_copy(folder.state / HISTORY_FILE, folder.path / HISTORY_FILE)
    seconds = sum(row["seconds"] for row in history)
    metrics = RefitMetrics(test_refitted=test, refit=RefitTraining(epochs=len(history), seconds=seconds))
    write_json(folder.path / METRICS_FILE, metrics.as_json())
    return metrics
