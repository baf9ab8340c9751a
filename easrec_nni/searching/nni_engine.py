"""How NNI's strategies run inside a trial: no server, no processes of their own, the trial's channel left alone."""

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

__all__ = ["BudgetSpent", "InTrialEngine", "explore", "run_strategy"]


class BudgetSpent(Exception):
    """Raised by what judges an architecture: neither this one nor another is paid for."""


class InTrialEngine(SequentialExecutionEngine):
    """Runs models without touching the trial around it.

    NNI's engine takes over the channel to the manager, so that what a trial reports while it searches never arrives,
    and replaces the trial's parameters, so that its final result is booked under parameter 0. This one tells a strategy
    what its model was worth by the value that the model's evaluator returns.
    """

    def __init__(self) -> None:
        super().__init__()
        self._spent = False
        # A strategy logs that it failed and raises what made it fail, which is enough.
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


class _Judge(Evaluator):
    """Tells an architecture's worth from its sample; the network is not made, and so the space may be without data."""

    def __init__(self, reward: Callable[[dict[str, Any]], float]) -> None:
        self.reward = reward

    def _execute(self, model: Any) -> float:
        return self.reward(dict(model.sample))


def explore(strategy: Any, space: Any, reward: Callable[[dict[str, Any]], float]) -> None:
    """Let a multi-trial strategy draw architectures until the budget is spent or the strategy knows none that is new.

    Parameters
    ----------
    strategy
        An NNI multi-trial strategy, not used before.
    space
        A model space; on the ``meta`` device it needs no memory.
    reward
        Worth of a sample (``{"pruning": "hidden25_inner50", "depth": 2}``), to be maximised. Raises
        :class:`BudgetSpent` to end the search; the strategy is not told of that sample.
    """
    # At the end strategies warn of the sample without a worth, or that they find nothing new: both are meant here.
    logging.getLogger("nni").setLevel(logging.ERROR)
    strategy.initialize(RawFormatModelSpace(space, _Judge(reward)), InTrialEngine())
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
    """Search a space with a strategy, to the end or from a checkpoint on.

    A NasExperiment would start a server and processes of its own; inside a trial there is one already.

    Parameters
    ----------
    strategy
        An NNI one-shot strategy.
    space
        A model space, which becomes a supernet in place.
    module, trainer
        From :mod:`easrec_nni.training.module` and :mod:`easrec_nni.training.trainer`.
    train_batches, validation_batches
        As the strategy takes them.
    checkpoint
        Lightning checkpoint to go on from. It is read without executing anything that it holds.
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
