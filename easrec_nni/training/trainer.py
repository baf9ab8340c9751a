"""Lightning trainer of every training, and the seeds that it begins from."""

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

from easrec_nni.training.parallel import count, is_first, rank

__all__ = ["make_trainer", "seed_everything"]


def make_trainer(
    epochs: int, callbacks: list[Callback], progress: bool, precision: str = "float32", judge_first: bool = False
) -> Any:
    """Lightning trainer as NNI wants it (traced), silent but for our own lines and bar.

    It knows the device of its own process alone; see :mod:`easrec_nni.training.parallel` for what several do together.

    Parameters
    ----------
    epochs
        Largest number of epochs.
    callbacks
        What happens between them.
    progress
        Whether to draw a bar; the first process alone does.
    precision
        ``float32`` or ``bf16``.
    judge_first
        Whether the network is validated before the first epoch, as after every epoch.
    """
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    # Batches come from memory: workers would only cost time. Lightning's advice to add them is noise here.
    warnings.filterwarnings("ignore", message=".*num_workers.*")
    warnings.filterwarnings("ignore", message=".*does not have many workers.*")
    warnings.filterwarnings("ignore", message=".*have no `val_dataloader`.*")  # a refit validates nothing
    if progress and is_first():
        callbacks = [RichProgressBar(leave=False), *callbacks]  # first: it is put away before an error is told
    return Trainer(
        max_epochs=epochs,
        callbacks=callbacks,
        logger=False,
        accelerator="auto",
        devices=[rank()] if count() > 1 and torch.cuda.is_available() else 1,
        precision="bf16-mixed" if precision == "bf16" else "32-true",
        num_sanity_val_steps=-1 if judge_first else 0,
        # Where nobody saves, Lightning would, and leave a folder where the process was started.
        enable_checkpointing=any(isinstance(callback, Checkpoint) for callback in callbacks),
        enable_model_summary=False,
        enable_progress_bar=progress,
        use_distributed_sampler=False,
        barebones=False,
    )


def seed_everything(seed: int) -> None:
    """Seed every source of random numbers that is used."""
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
