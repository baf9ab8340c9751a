"""What all systems get alike: who trains, who selects, in which batches, by which loss, and the figure that selects.

A search and a retraining, of whatever system, take their batches from here alone.

Who decides what, by the figure that ``select_by`` names:

* The best epoch of a search: the users whose validation targets trained no alpha or beta
  (:func:`validation_rows`). A search must not judge itself by users that it trained on.
* The best epoch of a retraining, the network it began with among them: every validation user. It trains weights alone,
  on no validation target, so there is no alpha to protect, and twice the users halve the variance.
* The tuner's choice between trials (``default`` of the final result, and of every epoch): the users of the search
  again, who trained no alpha or beta in that trial. A tuner compares architectures, and one that was fitted to the
  validation targets of some users would look better there than it is. The epoch was chosen with these users among
  others, in all trials alike.

The share of users that train alpha and beta (``search.arch_share``) therefore changes no weight of a retraining. It
says over whom ``valid_selection_users`` and ``default`` are reported, so it is part of what a retraining's folder is
known by, and a retraining refuses a share by which users that trained alpha and beta would be among those
(:func:`~easrec_nni.training.recorded.check_share`). A larger share than the search's leaves some users out, which is
honest, and is taken.
Which validation users train alpha and beta and which select is one partition (seed 0) for every seed of a study: what
is reported as ± over seeds holds nothing of which half selects.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from easrec_nni.data.batches.evaluation import ArchitectureBatches, EvaluationBatches
from easrec_nni.data.batches.masked import MaskedBatches
from easrec_nni.data.batches.training import TrainingBatches
from easrec_nni.data.dataset import Dataset
from easrec_nni.evaluation.scoring import evaluation_batch_size
from easrec_nni.evaluation.selection import validation_rows
from easrec_nni.settings.trial import TrialSettings
from easrec_nni.training.losses import LOSSES, ItemLoss, WithNegatives, make_loss
from easrec_nni.training.parallel import ShareOfBatches, count, rank

__all__ = [
    "SELECTION",
    "architecture_batches",
    "item_loss",
    "request_of",
    "selection_batches",
    "training_batches",
]


SELECTION = "every user"
"""Who selects in a retraining, as its folder notes it; one without the note was begun when half of the users did."""


def training_batches(
    dataset: Dataset, settings: TrialSettings, max_length: int, batch_size: int
) -> TrainingBatches | WithNegatives | ShareOfBatches:
    """Training batches in the settings' mode and order, with negatives if need be; this process' share of them."""
    if settings.mode == "masked":
        assert settings.history != "overlapping"
        masking = settings.masking.model_dump()
        masked = MaskedBatches(dataset, max_length, batch_size, settings.seed, settings.history, **masking)
        return _prepared(masked, dataset, settings, 0)
    batches = TrainingBatches(dataset, max_length, batch_size, settings.mode, settings.seed, settings.history)
    batches.reversed_share = settings.reversed_share
    return _prepared(batches, dataset, settings, 0)


def architecture_batches(
    dataset: Dataset, settings: TrialSettings, max_length: int
) -> ArchitectureBatches | WithNegatives | ShareOfBatches:
    """Validation targets that train alpha and beta, by the loss that the weights have."""
    chosen = settings.search
    rows, _ = validation_rows(dataset, chosen.arch_share)
    batches = ArchitectureBatches(dataset, max_length, chosen.arch_batch_size, rows, settings.seed)
    return _prepared(batches, dataset, settings, 1)


def _prepared(batches: Any, dataset: Dataset, settings: TrialSettings, stream: int) -> Any:
    if LOSSES[settings.loss].needs_negatives:
        # Streams of their own: the two steps of an iteration should not compare with the same items.
        batches = WithNegatives(batches, dataset.n_items, settings.negatives, 2 * settings.seed + stream)
    return batches if count() == 1 else ShareOfBatches(batches, rank(), count())


def item_loss(dataset: Dataset, settings: TrialSettings) -> ItemLoss:
    """The settings' loss over a dataset's catalogue."""
    return make_loss(
        settings.loss,
        dataset.n_items,
        settings.gbce_t,
        settings.label_smoothing,
        settings.horizon,
        settings.horizon_decay,
    )


def request_of(settings: TrialSettings) -> dict[str, Any]:
    """What a run's folder notes of how it trains, so that another way is refused there.

    What a run does not depend on is left out, and so is a default that came later than the key: a run stays the same
    one when a later version knows more settings.
    """
    request: dict[str, Any] = {"mode": settings.mode, "history": settings.history, "seed": settings.seed}
    if settings.mode == "masked":
        request["masking"] = settings.masking.model_dump(mode="json")
    if settings.loss != "softmax":
        request |= {"loss": settings.loss, "negatives": settings.negatives}
    if settings.devices > 1:  # each of which draws dropout by itself
        request["devices"] = settings.devices
    if settings.precision != "float32":
        request["precision"] = settings.precision
    if settings.micro_batch != "rule":  # dropout is drawn part by part
        request["micro_batch"] = settings.micro_batch
    if settings.loss == "gbce":
        request["gbce_t"] = settings.gbce_t
    later = ("label_smoothing", "horizon", "horizon_decay", "reversed_share", "select_by")
    defaults = {name: TrialSettings.model_fields[name].default for name in later}
    return request | {name: value for name in later if (value := getattr(settings, name)) != defaults[name]}


def selection_batches(
    dataset: Dataset, settings: TrialSettings, max_length: int, every_user: bool = False
) -> EvaluationBatches:
    """Validation users that select, with their histories; this process' share of them.

    Parameters
    ----------
    dataset, settings
        Whose users, and the share of them that trains alpha and beta.
    max_length
        Newest interactions of a history.
    every_user
        Whether those that train alpha and beta select too, as in a retraining.
    """
    _, rows = validation_rows(dataset, settings.search.arch_share)
    if every_user:
        rows = np.arange(len(dataset.split.valid))
    if len(rows) >= count():  # else all take all of them: every process must have some
        rows = rows[rank() :: count()]
    return EvaluationBatches(dataset, "valid", max_length, evaluation_batch_size(dataset.n_items), rows)
