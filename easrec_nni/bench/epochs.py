"""One epoch at a time, as search and retraining run them, and how long each takes."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from typing import Any

import torch

from easrec_nni.bench.clock import Clock, First
from easrec_nni.searching.nni_engine import run_strategy
from easrec_nni.searching.one_shot import make_strategy
from easrec_nni.training.callbacks import EpochOrder
from easrec_nni.training.context import TrialContext
from easrec_nni.training.module import SequenceModule
from easrec_nni.training.trainer import make_trainer, seed_everything
from search_spaces import EASRecNetwork, EASRecSpace

__all__ = ["EpochTime", "Training", "search_epoch"]


@dataclass(frozen=True)
class EpochTime:
    """How long the iterations of an epoch, or its first ones, took.

    Attributes
    ----------
    seconds, processor_seconds
        Of each iteration: on the wall, and of all cores for this process.
    batches
        Iterations of a whole epoch.
    """

    seconds: list[float]
    processor_seconds: list[float]
    batches: int

    @property
    def epoch_seconds(self) -> float:
        """Of a whole epoch: the sum, or the mean iteration times their number where only the first ones were run."""
        return sum(self.seconds) / len(self.seconds) * self.batches

    @property
    def epoch_processor_seconds(self) -> float:
        """As :attr:`epoch_seconds`, of the processor."""
        return sum(self.processor_seconds) / len(self.processor_seconds) * self.batches

    def figures(self) -> dict[str, Any]:
        """What a result says of it."""
        return {
            "epoch_seconds": self.epoch_seconds,
            "epoch_processor_seconds": self.epoch_processor_seconds,
            "measured_batches": len(self.seconds),
            "batches_of_an_epoch": self.batches,
        }


class _Module(SequenceModule):
    """Keeps its optimiser from one ``fit`` to the next, so that epochs can be run one by one."""

    optimizer: torch.optim.Optimizer | None = None

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """The one of the first epoch."""
        if self.optimizer is None:
            self.optimizer = super().configure_optimizers()
        return self.optimizer


class Training:
    """A network in training, an epoch at a time, with the batches, loss and trainer of the retraining stage.

    Parameters
    ----------
    network
        A fixed network.
    context
        Dataset, mode, seed and retraining.
    """

    def __init__(self, network: EASRecNetwork, context: TrialContext) -> None:
        chosen = context.settings.retrain
        self.network, self.module = network, _Module(context.dataset, chosen.learning_rate, loss=context.loss())
        self.module.set_model(network)
        self.batches = context.training_batches(chosen.batch_size)
        self.epochs = 0

    def epoch(self, first: int | None = None) -> EpochTime:
        """Run the next epoch, or its first iterations.

        Parameters
        ----------
        first
            How many iterations, all by default.
        """
        warnings.filterwarnings("ignore", message=".*have no `val_dataloader`.*")  # on purpose: training alone is timed
        clock = Clock()
        self.batches.set_epoch(self.epochs)
        self.network.train()
        trainer = make_trainer(1, [clock], progress=False)
        trainer.fit(self.module, self.batches if first is None else First(self.batches, first))
        if trainer.interrupted:
            raise KeyboardInterrupt
        self.epochs += 1
        return EpochTime(clock.seconds(0), clock.seconds(1), len(self.batches))

    def state_dict(self) -> dict[str, Any]:
        """What training needs to go on."""
        optimizer = self.module.configure_optimizers()
        return {
            "network": self.network.state_dict(),
            "optimizer": optimizer.state_dict(),
            "epochs": self.epochs,
            "random": torch.get_rng_state(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take it back."""
        self.network.load_state_dict(state["network"])
        self.module.configure_optimizers().load_state_dict(state["optimizer"])
        self.epochs = state["epochs"]
        torch.set_rng_state(state["random"])


def search_epoch(context: TrialContext, first: int | None = None) -> EpochTime:
    """Run the first epoch of a search after its warm-up, or its first iterations, architecture steps included.

    Parameters
    ----------
    context
        Context of the search.
    first
        How many iterations, all by default.
    """
    chosen = context.settings.search
    seed_everything(context.settings.seed)
    train = context.training_batches(chosen.batch_size)
    without_warmup = replace(context, settings=context.settings.with_parameters({"search.warmup_epochs": 0}))
    clock = Clock()
    run_strategy(
        make_strategy(without_warmup, len(train)),
        EASRecSpace(context.space),
        SequenceModule(context.dataset, chosen.learning_rate, loss=context.loss()),
        make_trainer(1, [EpochOrder(), clock], progress=False),
        train_batches=First(train, len(train) if first is None else first),
        validation_batches={
            "architecture": context.architecture_batches(),
            "selection": First(context.selection_batches(), 1),
        },
        checkpoint=None,
    )
    return EpochTime(clock.seconds(0), clock.seconds(1), len(train))
