"""NNI's one-shot machinery, used outside of an NNI NasExperiment."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from nni.nas.evaluator.pytorch import Lightning
from nni.nas.space import RawFormatModelSpace

from easrec_nni.searching.nni_engine import InTrialEngine

__all__ = ["run_strategy"]


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
        From :mod:`easrec_nni.training.module`.
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
