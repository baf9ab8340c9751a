"""Next-item losses and their registry.

To add one: a file in this folder with a subclass of :class:`~easrec_nni.training.losses.base.ItemLoss`, one line in
:data:`LOSSES`, and its name in ``Loss`` of ``easrec_nni/architecture/training_settings.py``. Further options are
fields of the settings, passed to :func:`make_loss`.

The setting ``loss`` selects the loss of a run; all are called through
:func:`~easrec_nni.training.losses.next_item_loss`. ``distillation.py`` joins any of them with a teacher's
distributions, which ``soft_targets.py`` defines.
"""

from __future__ import annotations

from easrec_nni.training.losses.base import ItemLoss
from easrec_nni.training.losses.calibrated import Calibrated
from easrec_nni.training.losses.distillation import Distilled, distilled_cross_entropy
from easrec_nni.training.losses.gbce import GeneralisedCrossEntropy
from easrec_nni.training.losses.in_place_distillation import NetworkOutput, in_place_cross_entropy
from easrec_nni.training.losses.negatives import WithNegatives, draw_negatives
from easrec_nni.training.losses.next_item import next_item_loss, states_with_targets
from easrec_nni.training.losses.sampled_softmax import SampledSoftmax
from easrec_nni.training.losses.softmax import Softmax, item_cross_entropy

__all__ = [
    "LOSSES",
    "Calibrated",
    "Distilled",
    "GeneralisedCrossEntropy",
    "ItemLoss",
    "NetworkOutput",
    "SampledSoftmax",
    "Softmax",
    "WithNegatives",
    "distilled_cross_entropy",
    "in_place_cross_entropy",
    "draw_negatives",
    "item_cross_entropy",
    "make_loss",
    "next_item_loss",
    "states_with_targets",
]

LOSSES: dict[str, type[ItemLoss]] = {
    "softmax": Softmax,
    "sampled_softmax": SampledSoftmax,
    "gbce": GeneralisedCrossEntropy,
}
"""Losses by their name in the settings."""


def make_loss(name: str, n_items: int, gbce_t: float = 0.75, label_smoothing: float = 0.0) -> ItemLoss:
    """Create a loss by name, for a catalogue.

    Parameters
    ----------
    name
        Key of :data:`LOSSES`.
    n_items
        Number of items in the catalogue.
    gbce_t
        Calibration of gBCE; other losses ignore it.
    label_smoothing
        Label smoothing of the full softmax; other losses ignore it.

    Examples
    --------
    >>> make_loss("gbce", 100, 0.5)
    GeneralisedCrossEntropy(n_items=100, t=0.5)
    """
    if name == "softmax":
        return Softmax(n_items, label_smoothing)
    return GeneralisedCrossEntropy(n_items, gbce_t) if name == "gbce" else LOSSES[name](n_items)
