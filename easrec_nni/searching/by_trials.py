"""Multi-trial search: NNI's strategies draw architectures, each trained from scratch.

These are the controls that a one-shot search must beat: random search, regularised evolution, TPE.

Budget
    In multiply-adds, a search may cost as much as the one-shot search: ``search.epochs`` epochs of the supernet, each
    worth :data:`SUPERNET_EPOCHS_OF_LARGEST` epochs of the largest network. A candidate's price is its epochs times its
    cost per epoch (:func:`~easrec_nni.searching.candidates.epoch_cost`). The search ends at the first candidate that
    exceeds the budget: skipping it for a cheaper one would favour small architectures. Validation is free, as in the
    one-shot search.
Reward
    :func:`~easrec_nni.searching.candidates.log_linear_reward` of the NDCG@10 over the selection users after the last
    epoch, and of the normalised cost that EASRec's constraint uses (its cumulative form), in the kind ``search.cost``.
Cost budget
    With ``search.budget`` the reward is that of the NDCG alone, and an architecture over the budget is not trained: its
    reward is its negative excess, so that any architecture within beats any above it, and above it the cheaper one wins
    (Deb, "An efficient constraint handling method for genetic algorithms", 2000). It costs the search nothing.
Determinism
    A candidate's weights are a function of its architecture, the settings and the seed: nothing is inherited, and every
    candidate starts from the same seed and sees the same batches. An interrupted search replays the record of its
    candidates, with the strategy's random numbers from the start, until the strategy draws a new candidate.

The settings ``search.patience``, ``warmup_epochs``, ``noise``, ``constraint``, ``export`` and those of alpha and beta
have no effect here.
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

from easrec_nni.architecture.feature_tables import set_features
from easrec_nni.common.errors import UserError
from easrec_nni.evaluation.selection import compared_figure
from easrec_nni.searching.candidates import CandidateRecord, epoch_cost, log_linear_reward
from easrec_nni.searching.costs import cost_table
from easrec_nni.searching.nni_engine import BudgetSpent, run_multi_trial
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
"""Epochs of the largest network that take as long as one supernet epoch: CPU time on MovieLens-100K with the shipped
settings (nine candidates, four layers, a step of alpha and beta every third iteration)."""

# Tolerance when comparing summed prices with the budget, so that rounding never costs a candidate.
ROUNDING = 1e-9


def search_by_trials(
    context: TrialContext,
    folder: RunFolder,
    progress: bool = False,
    on_epoch: Callable[[dict[str, float]], None] | None = None,
) -> Decision:
    """Run or resume a search with a multi-trial strategy.

    Parameters
    ----------
    context
        Context of the search.
    folder
        Folder of the run. Its state folder gets ``history.csv``, a row per candidate (its number as ``epoch``), and
        ``best.safetensors``: the weights of the best candidate's compact network, which its retraining can inherit like
        a supernet's.
    progress
        Whether to draw a progress bar for each candidate.
    on_epoch
        Called with the row of every trained candidate.

    Returns
    -------
    Decision
        The best candidate.
    """
    settings, search = context.settings, _Search(context, CandidateRecord(folder.state), progress, on_epoch)
    with torch.device("meta"):  # only the choices are needed, no weights
        space = EASRecSpace(context.space)
    run_multi_trial(MULTI_TRIAL_STRATEGIES[settings.search.strategy](settings.seed), space, search.reward)
    if not search.record.rows:
        raise UserError(
            f"{settings.search.strategy} drew {len(search.refused)} architectures, all of which cost more than "
            f"search.budget: {settings.search.budget:g}: raise it, or choose another strategy or seed"
        )
    search.log_summary()
    best = search.record.best_row
    return Decision(search.record.choice_of(best), best, folder.state / "best.safetensors", probabilities={})


@dataclass
class _Search:
    """State of one search: context, record of the candidates, budget."""

    context: TrialContext
    record: CandidateRecord
    progress: bool
    on_epoch: Callable[[dict[str, float]], None] | None

    def __post_init__(self) -> None:
        self.config, self.options = self.context.space, self.context.settings.search
        self.budget = self.options.epochs * SUPERNET_EPOCHS_OF_LARGEST[self.config.supernet]
        # At most the one-shot search's epochs, so that the budget pays for at least one candidate of any size.
        self.epochs = min(self.options.candidate_epochs, self.options.epochs)
        self.costs = cost_table(self.context, self.options.cost_kind)
        limit = 1.0 if self.options.budget is None else self.options.budget
        self.over_budget = {
            choice: excess
            for choice in self.config.architectures()
            if (excess := self.costs[choice.label][choice.depth] - limit) > 0
        }
        self.refused: set[Choice] = set()
        self.figure = compared_figure(self.context.settings.select_by, self.context.dataset)
        self.scored = _scored_positions(self.context)

    def reward(self, sample: dict[str, Any]) -> float:
        """Reward of an architecture, which is trained unless the record has it."""
        if self._is_exhausted:
            raise BudgetSpent
        choice = self.config.choice(sample)
        if choice in self.over_budget:
            self.refused.add(choice)
            return -self.over_budget[choice]
        row = self.record.find(choice)
        if row is None:
            price = self.epochs * epoch_cost(self.config, choice, self.scored)
            if self.record.spent + price > self.budget + ROUNDING:
                raise BudgetSpent
            row = self._evaluate(choice, price)
        return row["reward"]

    @property
    def _is_exhausted(self) -> bool:
        """Whether every architecture within the cost budget was trained."""
        return len(self.record.rows) == len(self.config.architectures()) - len(self.over_budget)

    def _evaluate(self, choice: Choice, price: float) -> dict[str, float]:
        start = time.perf_counter()
        weights, loss, metrics = self._train(choice)
        cost = self.costs[choice.label][choice.depth]
        row = {
            "epoch": len(self.record.rows),
            "train_loss": loss,
            "seconds": time.perf_counter() - start,
            **metrics,
            **choice.model_dump(),
            "expected_cost": cost,
            "argmax_cost": cost,
            "reward": log_linear_reward(metrics[self.figure], cost, self.options.lambda_ or 0.0, self.config.n_items),
            "price": price,
        }
        self.record.add(row, weights)
        self._log(choice, row)
        if self.on_epoch:
            self.on_epoch(row)
        return row

    def _train(self, choice: Choice) -> tuple[dict[str, Tensor], float, dict[str, float]]:
        """Train a candidate; return weights, last epoch's loss and selection users' metrics."""
        settings, dataset = self.context.settings, self.context.dataset
        seed_everything(settings.seed)
        network = EASRecSpace(self.config.compact(choice))
        set_features(network, dataset)
        criterion, loss = self.context.loss(), _EpochLoss()
        size = MicroBatchSize(settings.micro_batch)
        module = SequenceModule(
            dataset,
            settings.search,
            loss=criterion,
            micro_batch=size,
            select_by=settings.select_by,
        )
        module.set_model(network)
        rates = {"search.learning_rate": settings.search.learning_rate}
        guard = EndIfDiverged(rates, f"candidate {len(self.record.rows)} ({choice.label}, depth {choice.depth}): ")
        trainer = make_trainer(self.epochs, [guard, EpochOrder(), loss], self.progress, settings.precision)
        trainer.check_val_every_n_epoch = self.epochs  # after the last epoch only: earlier validations decide nothing
        trainer.fit(
            module,
            self.context.training_batches(settings.search.batch_size),
            self.context.selection_batches(),
        )
        return network.state_dict(), loss.mean, module.metrics

    def _log(self, choice: Choice, row: dict[str, float]) -> None:
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

    def log_summary(self) -> None:
        """Log candidates and cost; warn if the space was exhausted before the budget."""
        rows, spent = self.record.rows, self.record.spent
        _logger.info("%d candidates cost %.1f of %.1f epochs of the largest network", len(rows), spent, self.budget)
        if self.refused:
            _logger.info("%d drawn architectures cost more than search.budget and were not trained", len(self.refused))
        longer = min(int(self.epochs * self.budget / spent), self.options.epochs)
        if self._is_exhausted and longer > self.epochs:
            _logger.warning(
                "every architecture was trained before the budget was spent; search.candidate_epochs: %d would use it",
                longer,
            )


def _scored_positions(context: TrialContext) -> float:
    """Mean number of positions with a loss, weighted by the share of items scored there."""
    settings, config = context.settings, context.space
    share = 1.0  # of the catalogue's items, scored at a position
    if LOSSES[settings.loss].needs_negatives:
        share = min(1.0, (settings.negatives + 1) / config.n_items)
    if settings.mode == "masked":
        newest_only = settings.masking.newest_share
        return share * (newest_only + (1 - newest_only) * max(1.0, settings.masking.share * config.max_length))
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
