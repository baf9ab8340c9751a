"""Timing of single epochs, run as search and retraining run them."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from typing import Any

import torch
from nni.nas.oneshot.pytorch.strategy import OneShotStrategy

from easrec_nni.bench.clock import FirstBatches, IterationTimer
from easrec_nni.searching.elastic import make_elastic
from easrec_nni.searching.nni_engine import run_strategy
from easrec_nni.searching.one_shot import make_strategy
from easrec_nni.training.callbacks import EpochOrder
from easrec_nni.training.context import TrialContext
from easrec_nni.training.module import SequenceModule
from easrec_nni.training.trainer import make_trainer, seed_everything
from search_spaces import EASRecNetwork, EASRecSpace
from strategies import SUPERNET_STRATEGIES

__all__ = ["EpochTime", "Training", "search_epoch"]


@dataclass(frozen=True)
class EpochTime:
    """Times of the measured iterations of an epoch.

    Attributes
    ----------
    seconds, processor_seconds
        Wall-clock time of each iteration, and processor time of this process over all cores.
    batches
        Iterations of a whole epoch, of which only the first may have been measured.
    """

    seconds: list[float]
    processor_seconds: list[float]
    batches: int

    @property
    def epoch_seconds(self) -> float:
        """Wall-clock seconds of a whole epoch: mean measured iteration times number of iterations."""
        return sum(self.seconds) / len(self.seconds) * self.batches

    @property
    def epoch_processor_seconds(self) -> float:
        """Processor seconds of a whole epoch, extrapolated like :attr:`epoch_seconds`."""
        return sum(self.processor_seconds) / len(self.processor_seconds) * self.batches

    def figures(self) -> dict[str, Any]:
        """Figures for a measurement's result."""
        return {
            "epoch_seconds": self.epoch_seconds,
            "epoch_processor_seconds": self.epoch_processor_seconds,
            "measured_batches": len(self.seconds),
            "batches_of_an_epoch": self.batches,
        }


class _Module(SequenceModule):
    """Module that keeps its optimiser between ``fit`` calls, for epochs run one by one."""

    optimizer: torch.optim.Optimizer | None = None

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Optimiser made for the first epoch."""
        if self.optimizer is None:
            self.optimizer = super().configure_optimizers()
        return self.optimizer


class Training:
    """Training that runs one epoch per call.

    Batches, loss and trainer are those of the retraining stage.

    Parameters
    ----------
    network
        Fixed network to train.
    context
        Settings and dataset of the trial.
    """

    def __init__(self, network: EASRecNetwork, context: TrialContext) -> None:
        options = context.settings.retrain
        self.network, self.module = network, _Module(context.dataset, options, loss=context.loss())
        self.module.set_model(network)
        self.batches = context.training_batches(options.batch_size)
        self.epochs, self.precision = 0, context.settings.precision

    def epoch(self, first: int | None = None) -> EpochTime:
        """Run the next epoch, or its first iterations.

        Parameters
        ----------
        first
            Number of iterations, all by default.
        """
        warnings.filterwarnings("ignore", message=".*have no `val_dataloader`.*")  # on purpose: training alone is timed
        timer = IterationTimer()
        self.batches.set_epoch(self.epochs)
        self.network.train()
        trainer = make_trainer(1, [timer], False, self.precision)
        trainer.fit(self.module, self.batches if first is None else FirstBatches(self.batches, first))
        self.epochs += 1
        return EpochTime(timer.seconds(0), timer.seconds(1), len(self.batches))

    def state_dict(self) -> dict[str, Any]:
        """State from which training can resume."""
        optimizer = self.module.configure_optimizers()
        return {
            "network": self.network.state_dict(),
            "optimizer": optimizer.state_dict(),
            "epochs": self.epochs,
            "random": torch.get_rng_state(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore a state from :meth:`state_dict`."""
        self.network.load_state_dict(state["network"])
        self.module.configure_optimizers().load_state_dict(state["optimizer"])
        self.epochs = state["epochs"]
        torch.set_rng_state(state["random"])


def search_epoch(context: TrialContext, first: int | None = None) -> EpochTime:
    """Run and time the first search epoch after warm-up, or its first iterations.

    Architecture steps are included.

    Parameters
    ----------
    context
        Context of the search.
    first
        Number of iterations, all by default.
    """
    options = context.settings.search
    seed_everything(context.settings.seed)
    train = context.training_batches(options.batch_size)
    changes = {"search.warmup_epochs": 0, "search.elastic.warmup_epochs": 0}
    without_warmup = replace(context, settings=context.settings.with_parameters(changes))
    timer = IterationTimer()
    strategy: OneShotStrategy
    if options.strategy in SUPERNET_STRATEGIES:
        strategy, module = make_elastic(without_warmup)
    else:
        strategy = make_strategy(without_warmup, len(train))
        module = SequenceModule(context.dataset, options, loss=context.loss())
    run_strategy(
        strategy,
        EASRecSpace(context.space),
        module,
        make_trainer(1, [EpochOrder(), timer], False, context.settings.precision),
        train_batches=FirstBatches(train, len(train) if first is None else first),
        validation_batches={
            "architecture": context.architecture_batches(),
            "selection": FirstBatches(context.selection_batches(), 1),
        },
        checkpoint=None,
    )
    return EpochTime(timer.seconds(0), timer.seconds(1), len(train))
