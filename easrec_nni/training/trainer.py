"""Lightning trainer and seeding, common to every training."""

from __future__ import annotations

import logging
import random
import warnings
from typing import Any

import numpy as np
import torch
from nni.nas.evaluator.pytorch import Trainer
from pytorch_lightning import Callback
from pytorch_lightning.callbacks import Checkpoint, RichProgressBar

from easrec_nni.training.interruption import RaiseInterruption
from easrec_nni.training.parallel import count, is_first, rank

__all__ = ["make_trainer", "seed_everything"]


def make_trainer(
    epochs: int, callbacks: list[Callback], progress: bool, precision: str = "float32", judge_first: bool = False
) -> Any:
    """Lightning trainer traced by NNI, quiet except for the toolkit's log and progress bar.

    It uses only the device of its own process; :mod:`easrec_nni.training.parallel` coordinates several.

    Parameters
    ----------
    epochs
        Maximum number of epochs.
    callbacks
        Lightning callbacks, besides that of interruptions.
    progress
        Whether to show a progress bar, in the first process only.
    precision
        Precision of the training: ``float32`` or ``bf16``.
    judge_first
        Whether to validate the network before the first epoch too.
    """
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    # Batches come from memory, where workers would only cost time: silence Lightning's advice to add them.
    warnings.filterwarnings("ignore", message=".*num_workers.*")
    warnings.filterwarnings("ignore", message=".*does not have many workers.*")
    warnings.filterwarnings("ignore", message=".*have no `val_dataloader`.*")  # a refit validates nothing
    warnings.filterwarnings("ignore", message=".*treespec, LeafSpec.*")  # of Lightning's own code, with new torch
    callbacks = [RaiseInterruption(), *callbacks]
    if progress and is_first():
        callbacks = [RichProgressBar(leave=False), *callbacks]  # first: removed before an error is shown
    return Trainer(
        max_epochs=epochs,
        callbacks=callbacks,
        logger=False,
        accelerator="auto",
        devices=[rank()] if count() > 1 and torch.cuda.is_available() else 1,
        precision="bf16-mixed" if precision == "bf16" else "32-true",
        num_sanity_val_steps=-1 if judge_first else 0,
        # Otherwise Lightning adds its own checkpoints, in a folder in the working directory.
        enable_checkpointing=any(isinstance(callback, Checkpoint) for callback in callbacks),
        enable_model_summary=False,
        enable_progress_bar=progress,
        use_distributed_sampler=False,
        barebones=False,
    )


def seed_everything(seed: int) -> None:
    """Seed the random number generators of Python, NumPy and torch."""
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
