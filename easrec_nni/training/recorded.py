"""Training settings between an architecture and a trial: recorded by a search, taken by a retraining."""

from __future__ import annotations

from typing import Any

from easrec_nni.architecture.document import Architecture
from easrec_nni.architecture.training_settings import TrainingSettings
from easrec_nni.settings.trial import TrialSettings
from easrec_nni.training.losses import LOSSES

__all__ = ["describe_training", "recorded_training", "with_recorded"]


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
        batch_by=settings.batch_by,
        loss=settings.loss,
        negatives=settings.negatives if LOSSES[settings.loss].needs_negatives else None,
        gbce_t=settings.gbce_t if settings.loss == "gbce" else None,
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
    values = {
        name: value
        for name, value in recorded_training(settings).flat().items()
        if name != "retrain.weights" and (value or not name.startswith("retrain."))  # what is off is not shown
    }
    shown = ", ".join(f"{name} {value}" for name, value in values.items())
    if architecture.training is None:
        return f"training settings: {origin} records none, so as given or by default: {shown}"
    known = architecture.training.flat()
    changed = [f"{name}={value}" for name, value in values.items() if known.get(name, value) != value]
    return f"training settings from {origin}: {shown}" + (f"; overridden: {', '.join(changed)}" if changed else "")
