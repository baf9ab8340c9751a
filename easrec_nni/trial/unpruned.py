"""The unpruned network that trials are judged against, trained once per dataset, settings and seed."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

from easrec_nni.common.locks import exclusive_lock
from easrec_nni.retraining.stage import retrain
from easrec_nni.training.context import TrialContext
from easrec_nni.training.run_folder import identity_digest
from easrec_nni.trial.nni_io import in_trial, output_dir

__all__ = ["train_unpruned", "unpruned_root"]

DIGITS = 12  # of the digest in a folder's name

_logger = logging.getLogger(__name__)


def unpruned_root(trial: Path) -> Path:
    """Folder of the unpruned networks' runs: shared by an experiment's trials on a machine, else inside the trial's.

    Parameters
    ----------
    trial
        Folder of the trial.
    """
    # NNI's output directory is <experiment>/environments/<environment>/trials/<id>.
    return output_dir(trial).resolve().parents[1] / "unpruned" if in_trial() else trial / "unpruned"


def train_unpruned(context: TrialContext, root: Path, *, progress: bool = False) -> Path:
    """Train the unpruned network by a trial's settings, unless another trial has; return the run's folder.

    It starts from random weights and may train for the epochs of search and retraining together, like the unsearched
    networks of a study; ``retrain.patience`` ends it as it ends the trial's retraining. The folder's name is a digest
    of everything that determines the result, so trials that differ only in their search share one run. Concurrent
    trials wait for the one that trains, and an interrupted run resumes.

    Parameters
    ----------
    context
        Context of the trial.
    root
        Folder of the unpruned networks' runs.
    progress
        Whether to draw a progress bar.
    """
    settings = context.settings
    alone = settings.with_parameters(
        {
            "retrain.epochs": settings.search.epochs + settings.retrain.epochs,
            "retrain.weights": "scratch",
            "retrain.refit": False,
            "retrain.teacher": None,
        }
    )
    context = replace(context, settings=alone)
    architecture = context.architecture(context.space.largest)
    identity = {**context.identity("retrain"), "arch_share": alone.search.arch_share}
    folder = root / identity_digest(identity)[:DIGITS]
    with exclusive_lock(folder):
        _logger.info("the unpruned network, for the judgement: %s", folder)
        retrain(architecture, context.dataset, folder, settings=alone, progress=progress)
    return folder
