"""The search stage by trials: NNI's multi-trial strategies, each architecture they draw trained by itself.

The controls that a one-shot search must beat: random architectures, regularised evolution, TPE.

Budget
    In multiply-adds a whole search may cost what the one-shot search may: ``search.epochs`` epochs of the supernet,
    each worth :data:`SUPERNET_EPOCHS_OF_LARGEST` epochs of the largest network. A candidate pays for its epochs by its
    own share (:func:`~easrec_nni.searching.candidates.epoch_cost`). The search ends at the first candidate that it
    cannot pay: to look on for one it can would favour small architectures. Validation is free, as it is in the one-shot
    search.
Reward
    :func:`~easrec_nni.searching.candidates.log_linear_reward` of the NDCG@10 of the users that select, after the last
    epoch, and of the normalised cost that EASRec's constraint uses (its cumulative form).
Determinism
    A candidate's weights are a function of its architecture, the settings and the seed: nothing is inherited, and each
    candidate starts from the same seed and meets the same batches. A search that was killed is played again from the
    record of its candidates, with the strategy's random numbers from the beginning, until it meets a new one.

Of the settings under ``search``, ``patience``, ``warmup_epochs``, ``noise``, ``constraint``, ``export`` and what is
about alpha and beta mean nothing here.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from torch import Tensor

from easrec_nni.architecture.cost import cost_table
from easrec_nni.architecture.feature_tables import set_features
from easrec_nni.searching.candidates import CandidateRecord, epoch_cost, log_linear_reward
from easrec_nni.searching.nni_engine import BudgetSpent, explore
from easrec_nni.searching.record import Decision
from easrec_nni.training.callbacks import EpochOrder
from easrec_nni.training.context import TrialContext
from easrec_nni.training.divergence import EndIfDiverged
from easrec_nni.training.losses import LOSSES
from easrec_nni.training.micro_batch_size import MicroBatchSize
from easrec_nni.training.module import SequenceModule
from easrec_nni.training.run_folder import RunFolder
from easrec_nni.training.trainer import make_trainer, seed_everything
from search_spaces import Choice, EASRecSpace
from strategies import MULTI_TRIAL_STRATEGIES

__all__ = ["SUPERNET_EPOCHS_OF_LARGEST", "search_by_trials"]

_logger = logging.getLogger(__name__)

SUPERNET_EPOCHS_OF_LARGEST = {"shared": 2.8, "independent": 5.6}
"""Epochs of the largest network that take as long as one of the supernet: processor time on MovieLens-100K with the
shipped settings (nine candidates, four layers, a step of alpha and beta every third iteration)."""

# Sums of prices are compared with the budget: rounding may not cost a candidate.
ROUNDING = 1e-9


def search_by_trials(
    context: TrialContext,
    folder: RunFolder,
    progress: bool = False,
    on_epoch: Callable[[dict[str, float]], None] | None = None,
) -> Decision:
    """Search with a strategy of :data:`~strategies.multi_trial.MULTI_TRIAL_STRATEGIES`; go on where a kill ended it.

    Parameters
    ----------
    context
        Context of the search.
    folder
        Its state folder takes ``history.csv``, a row for each candidate (its number as ``epoch``), and
        ``best.safetensors``: the weights of the best candidate's own, compact network, from which its retraining can
        start as it could from a supernet's.
    progress
        Whether to draw a progress bar for each candidate.
    on_epoch
        Told the row of every candidate that is trained.

    Returns
    -------
    Decision
        The best candidate.
    """
    settings, search = context.settings, _Search(context, CandidateRecord(folder.state), progress, on_epoch)
    with torch.device("meta"):  # only its choices are needed
        space = EASRecSpace(context.space)
    explore(MULTI_TRIAL_STRATEGIES[settings.search.strategy](settings.seed), space, search.reward)
    search.say_what_was_spent()
    best = search.record.best_row
    return Decision(search.record.choice_of(best), best, folder.state / "best.safetensors", probabilities={})


@dataclass
class _Search:
    """One search: what its candidates are trained on, and what is known of them."""

    context: TrialContext
    record: CandidateRecord
    progress: bool
    on_epoch: Callable[[dict[str, float]], None] | None

    def __post_init__(self) -> None:
        self.config, self.chosen = self.context.space, self.context.settings.search
        self.budget = self.chosen.epochs * SUPERNET_EPOCHS_OF_LARGEST[self.config.supernet]
        # Not more than the one-shot search has, and so every candidate can be paid at least once.
        self.epochs = min(self.chosen.candidate_epochs, self.chosen.epochs)
        self.costs = cost_table(self.config)
        self.figure = self.context.settings.select_by
        self.scored = _scored_positions(self.context)

    def reward(self, sample: dict[str, Any]) -> float:
        """Worth of an architecture, trained unless that was done before."""
        if len(self.record.rows) == len(self.config.architectures()):
            raise BudgetSpent
        choice = self.config.choice(sample)
        row = self.record.find(choice)
        if row is None:
            price = self.epochs * epoch_cost(self.config, choice, self.scored)
            if self.record.spent + price > self.budget + ROUNDING:
                raise BudgetSpent
            row = self._judge(choice, price)
        return row["reward"]

    def _judge(self, choice: Choice, price: float) -> dict[str, float]:
        began = time.perf_counter()
        weights, loss, metrics = self._train(choice)
        cost = self.costs[choice.label][choice.depth]
        row = {
            "epoch": len(self.record.rows),
            "train_loss": loss,
            "seconds": time.perf_counter() - began,
            **metrics,
            **choice.model_dump(),
            "expected_cost": cost,
            "argmax_cost": cost,
            "reward": log_linear_reward(metrics[self.figure], cost, self.chosen.lambda_, self.config.n_items),
            "price": price,
        }
        self.record.add(row, weights)
        self._say(choice, row)
        if self.on_epoch:
            self.on_epoch(row)
        return row

    def _train(self, choice: Choice) -> tuple[dict[str, Tensor], float, dict[str, float]]:
        """Weights, loss of the last epoch, and metrics of the users that select."""
        settings, dataset = self.context.settings, self.context.dataset
        seed_everything(settings.seed)
        network = EASRecSpace(self.config.compact(choice))
        set_features(network, dataset)
        criterion, loss = self.context.loss(), _EpochLoss()
        size = MicroBatchSize(settings.micro_batch)
        module = SequenceModule(
            dataset,
            settings.search.learning_rate,
            loss=criterion,
            micro_batch=size,
            select_by=self.figure,
        )
        module.set_model(network)
        rates = {"search.learning_rate": settings.search.learning_rate}
        guard = EndIfDiverged(rates, f"candidate {len(self.record.rows)} ({choice.label}, depth {choice.depth}): ")
        trainer = make_trainer(self.epochs, [guard, EpochOrder(), loss], self.progress, settings.precision)
        trainer.check_val_every_n_epoch = self.epochs  # judged once: earlier validations would decide nothing
        trainer.fit(
            module,
            self.context.training_batches(settings.search.batch_size),
            self.context.selection_batches(),
        )
        if trainer.interrupted:
            raise KeyboardInterrupt
        return network.state_dict(), loss.mean, module.metrics

    def _say(self, choice: Choice, row: dict[str, float]) -> None:
        best = self.record.best_row
        _logger.info(
            "candidate %d: %s, depth %d: %s %.4f, cost %.3f, reward %.4f (best %.4f, candidate %d), %.1f s, "
            "%.1f of %.1f epochs spent",
            row["epoch"],
            choice.label,
            choice.depth,
            self.figure,
            row[self.figure],
            row["argmax_cost"],
            row["reward"],
            best["reward"],
            best["epoch"],
            row["seconds"],
            self.record.spent,
            self.budget,
        )

    def say_what_was_spent(self) -> None:
        """Tell the end of the search, and what to change where the budget outlasted the space."""
        rows, spent = self.record.rows, self.record.spent
        _logger.info("%d candidates cost %.1f of %.1f epochs of the largest network", len(rows), spent, self.budget)
        longer = min(int(self.epochs * self.budget / spent), self.chosen.epochs)
        if len(rows) == len(self.config.architectures()) and longer > self.epochs:
            _logger.warning(
                "every architecture was trained and the budget is not spent: search.candidate_epochs: %d would use it",
                longer,
            )


def _scored_positions(context: TrialContext) -> float:
    """Positions of a full history that have a loss over all items, or as many scores, on average over an epoch."""
    settings, config = context.settings, context.space
    share = 1.0  # of the catalogue, that a position is compared with
    if LOSSES[settings.loss].needs_negatives:
        share = min(1.0, (settings.negatives + 1) / config.n_items)
    if settings.mode == "masked":
        alone = settings.masking.newest_share
        return share * (alone + (1 - alone) * max(1.0, settings.masking.share * config.max_length))
    return share * (1.0 if settings.mode == "augmented" else float(config.max_length))


class _EpochLoss(Callback):
    """Mean training loss of the last epoch."""

    def __init__(self) -> None:
        self._losses: list[Tensor] = []

    @property
    def mean(self) -> float:
        return float(torch.stack(self._losses).mean())

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._losses = []

    def on_train_batch_end(self, trainer: Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        self._losses.append(outputs["loss"].detach())
