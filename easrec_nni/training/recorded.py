"""Training settings between an architecture and a trial: recorded by a search, taken by a retraining."""

from __future__ import annotations

from typing import Any

import numpy as np

from easrec_nni.architecture.document import Architecture
from easrec_nni.architecture.training_settings import TrainingSettings
from easrec_nni.common.errors import UserError
from easrec_nni.data.dataset import Dataset
from easrec_nni.evaluation.selection import validation_rows
from easrec_nni.settings.trial import TrialSettings
from easrec_nni.training.losses import LOSSES

__all__ = ["check_share", "describe_training", "recorded_training", "with_recorded"]


def recorded_training(settings: TrialSettings) -> TrainingSettings:
    """Section ``training`` of an architecture that these settings searched or trained; what has no effect is left out.

    Examples
    --------
    >>> recorded_training(TrialSettings(data="shop", search={"arch_share": 0.3})).flat()["arch_share"]
    0.3
    """
    return TrainingSettings(
        mode=settings.mode,
        masking=settings.masking if settings.mode == "masked" else None,
        history=settings.history,
        loss=settings.loss,
        negatives=settings.negatives if LOSSES[settings.loss].needs_negatives else None,
        gbce_t=settings.gbce_t if settings.loss == "gbce" else None,
        label_smoothing=settings.label_smoothing if settings.loss == "softmax" else None,
        horizon=settings.horizon if settings.loss == "softmax" else None,
        horizon_decay=settings.horizon_decay if settings.horizon > 1 else None,
        reversed_share=settings.reversed_share,
        select_by=settings.select_by,
        arch_share=settings.search.arch_share,
        seed=settings.seed,
        retrain=settings.retrain,
    )


def with_recorded(architecture: Architecture, given: TrialSettings) -> TrialSettings:
    """Settings of a retraining: each key as given, else as the architecture records it, else its default.

    Parameters
    ----------
    architecture
        With or without the section ``training``.
    given
        Keys that were set explicitly (pydantic's ``model_fields_set``, at every level) are taken.

    Raises
    ------
    UserError
        A key that was given and one that is recorded exclude each other.
    """
    recorded = (
        architecture.training.model_dump(exclude_none=True, exclude={"refitted_epochs"})
        if architecture.training
        else {}
    )
    if "arch_share" in recorded:
        recorded["search"] = {"arch_share": recorded.pop("arch_share")}
    document = _merged(recorded, given.model_dump(by_alias=True, exclude_unset=True))
    return TrialSettings.parse(document, "settings, with those that the architecture records")


def _merged(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    result = {**below, **above}
    for key in below.keys() & above.keys():
        if isinstance(below[key], dict) and isinstance(above[key], dict):
            result[key] = _merged(below[key], above[key])
    return result


def describe_training(architecture: Architecture, settings: TrialSettings, origin: str) -> str:
    """One line on the settings of a retraining: their values, where they are from, and which were overridden.

    Parameters
    ----------
    architecture
        What may record some.
    settings
        Settings that the retraining has.
    origin
        File of the architecture, or what to call it.
    """
    values = {name: value for name, value in recorded_training(settings).flat().items() if name != "retrain.weights"}
    shown = ", ".join(f"{name} {value}" for name, value in values.items())
    if architecture.training is None:
        return f"training settings: {origin} records none, so as given or by default: {shown}"
    known = architecture.training.flat()
    changed = [f"{name}={value}" for name, value in values.items() if known.get(name, value) != value]
    return f"training settings from {origin}: {shown}" + (f"; overridden: {', '.join(changed)}" if changed else "")


def check_share(architecture: Architecture, settings: TrialSettings, dataset: Dataset) -> None:
    """Refuse a share by which users that trained alpha and beta would count among those that did not.

    An architecture without probabilities trained none: it was written by hand, is the unpruned one, or was found by
    trials.

    Raises
    ------
    UserError
        With the share to set.
    """
    recorded = architecture.training.arch_share if architecture.training else None
    if recorded is None or not architecture.probabilities:
        return
    share = settings.search.arch_share
    trained, _ = validation_rows(dataset, recorded)
    _, compared = validation_rows(dataset, share)
    both = len(np.intersect1d(trained, compared))
    if both:
        raise UserError(
            f"search.arch_share: {share:g}: {both} of the {len(compared)} users whose validation figure would be "
            f"reported as that of users who trained no alpha or beta did train them, as the search had arch_share "
            f"{recorded:g}: leave search.arch_share out, or set it to {recorded:g} or more"
        )
