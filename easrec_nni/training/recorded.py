"""Training settings in an architecture document: recorded by a search, used by a retraining."""

from __future__ import annotations

from easrec_nni.architecture.document import Architecture
from easrec_nni.architecture.training_settings import EARLIER_DEFAULTS, OF_TEACHERS, TrainingSettings
from easrec_nni.common.documents import deep_merge
from easrec_nni.settings.trial import TrialSettings
from easrec_nni.training.losses import LOSSES

__all__ = ["describe_training", "recorded_training", "with_recorded"]


def recorded_training(settings: TrialSettings) -> TrainingSettings:
    """Section ``training`` of an architecture document, without settings that have no effect.

    The path of a teacher is left out; a retraining adds its :class:`.TeacherRecord`.

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
        label_smoothing=settings.label_smoothing or None,
        select_by=settings.select_by,
        arch_share=settings.search.arch_share,
        seed=settings.seed,
        retrain=settings.retrain.model_copy(update={"teacher": None}),
    )


def with_recorded(architecture: Architecture, given: TrialSettings) -> TrialSettings:
    """Settings of a retraining: each key as given, else as recorded, else its default.

    Parameters
    ----------
    architecture
        Architecture, with or without the section ``training``.
    given
        Settings of the user; only explicitly set keys (pydantic's ``model_fields_set``, at every level) count.

    Raises
    ------
    UserError
        A given key and a recorded key exclude each other.
    """
    recorded = (
        architecture.training.model_dump(exclude_none=True, exclude={"refitted_epochs", "teacher"})
        if architecture.training
        else {}
    )
    if "arch_share" in recorded:
        recorded["search"] = {"arch_share": recorded.pop("arch_share")}
    if "retrain" in recorded:  # written by a run
        recorded = deep_merge({key: EARLIER_DEFAULTS[key] for key in ("batch_by", "select_by")}, recorded)
    document = deep_merge(recorded, given.model_dump(by_alias=True, exclude_unset=True))
    return TrialSettings.parse(document, "settings, with those that the architecture records")


def describe_training(architecture: Architecture, settings: TrialSettings, origin: str) -> str:
    """One-line summary of a retraining's settings: values, origin, and overrides.

    Parameters
    ----------
    architecture
        Architecture to retrain, with or without recorded settings.
    settings
        Settings of the retraining.
    origin
        File of the architecture, or another name for it.
    """
    without_effect = () if settings.retrain.teacher else OF_TEACHERS
    hidden = {f"retrain.{name}" for name in ("weights", *without_effect)}
    fields = type(settings.retrain).model_fields
    usual = {f"retrain.{name}": fields[name].default for name in ("beta2", "weight_decay")}
    values = {
        name: value
        for name, value in recorded_training(settings).flat().items()
        if name not in hidden
        and (value or not name.startswith("retrain."))  # hide disabled options
        and value != usual.get(name)
    }
    shown = ", ".join(f"{name} {value}" for name, value in values.items())
    if architecture.training is None:
        return f"training settings: {origin} records none, so as given or by default: {shown}"
    recorded = architecture.training.flat()
    changed = [f"{name}={value}" for name, value in values.items() if recorded.get(name, value) != value]
    text = f"training settings from {origin}: {shown}" + (f"; overridden: {', '.join(changed)}" if changed else "")
    if architecture.training.teacher is not None and settings.retrain.teacher is None:
        text += "; it was distilled from a teacher, and this training has none (--teacher PATH)"
    return text
