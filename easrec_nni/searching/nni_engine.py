"""Execution engine for NNI's strategies inside a trial: no server, no extra processes."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

from nni.nas.evaluator import Evaluator
from nni.nas.evaluator.pytorch import Lightning
from nni.nas.execution import SequentialExecutionEngine
from nni.nas.execution.event import FinalMetricEvent, TrainingEndEvent
from nni.nas.space import ModelStatus, RawFormatModelSpace

__all__ = ["BudgetSpent", "InTrialEngine", "run_multi_trial", "run_strategy"]


class BudgetSpent(Exception):
    """Raised by a reward function when the budget is spent; ends the search."""


class InTrialEngine(SequentialExecutionEngine):
    """Sequential engine that leaves the surrounding trial's channel and parameters alone.

    NNI's engine takes over the channel to the manager, so that the trial's reports during the search are lost, and
    replaces the trial's parameters, so that its final result is filed under parameter 0. This one passes the value that
    a model's evaluator returns directly to the strategy.
    """

    def __init__(self) -> None:
        super().__init__()
        self._spent = False
        # A failing strategy logs its failure and raises the cause; the exception is enough.
        logging.getLogger("nni.nas.strategy.base").setLevel(logging.CRITICAL)

    def submit_models(self, *models: Any) -> None:
        """Run models one after the other, in this process."""
        for model in models:
            self._history.append(model)
            try:
                metric, status = model.execute(), ModelStatus.Trained
            except BudgetSpent:
                self._spent, metric, status = True, None, ModelStatus.Interrupted
            if metric is not None:
                self.dispatch_model_event(FinalMetricEvent(model, metric))
            self.dispatch_model_event(TrainingEndEvent(model, status))

    def budget_available(self) -> bool:
        """Whether a strategy may submit another model."""
        return not self._spent


class _SampleEvaluator(Evaluator):
    """Scores an architecture from its sample; the network is never built, so the space may be on ``meta``."""

    def __init__(self, reward: Callable[[dict[str, Any]], float]) -> None:
        self.reward = reward

    def _execute(self, model: Any) -> float:
        return self.reward(dict(model.sample))


def run_multi_trial(strategy: Any, space: Any, reward: Callable[[dict[str, Any]], float]) -> None:
    """Run a multi-trial strategy until the budget is spent or it draws no new architecture.

    Parameters
    ----------
    strategy
        A fresh NNI multi-trial strategy.
    space
        A model space; on the ``meta`` device it needs no memory.
    reward
        Reward of a sample (``{"pruning": "hidden25_inner50", "depth": 2}``), to be maximised. Raises
        :class:`BudgetSpent` to end the search; the strategy gets no reward for that sample.
    """
    # At the end strategies warn of a sample without a reward, or of no new sample: both are expected here.
    logging.getLogger("nni").setLevel(logging.ERROR)
    strategy.initialize(RawFormatModelSpace(space, _SampleEvaluator(reward)), InTrialEngine())
    strategy.run()


def run_strategy(
    strategy: Any,
    space: Any,
    module: Any,
    trainer: Any,
    *,
    train_batches: Any,
    validation_batches: Any,
    checkpoint: Path | None,
) -> None:
    """Run a one-shot strategy on a space, from the start or from a checkpoint.

    NNI's ``NasExperiment`` would start a server and processes of its own; inside a trial there is one already.

    Parameters
    ----------
    strategy
        An NNI one-shot strategy.
    space
        A model space, which becomes a supernet in place.
    module, trainer
        Lightning module and trainer (:mod:`easrec_nni.training.module`, :mod:`easrec_nni.training.trainer`).
    train_batches, validation_batches
        Batches in the form that the strategy takes.
    checkpoint
        Lightning checkpoint to resume from, read with ``weights_only=True``; None to start from the beginning.
    """
    logging.getLogger("nni").setLevel(logging.WARNING)
    evaluator = Lightning(
        module,
        trainer,
        train_dataloaders=train_batches,
        val_dataloaders=validation_batches,
        fit_kwargs={"ckpt_path": checkpoint, "weights_only": True},
    )
    strategy.initialize(RawFormatModelSpace(space, evaluator), InTrialEngine())
    strategy.run()
