"""Training settings that ``architecture.json`` records."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator, model_validator

from easrec_nni.data.batches.modes import BatchBy, History, Mode

__all__ = [
    "EARLIER_DEFAULTS",
    "LARGEST_NUMBER",
    "LARGEST_SEED",
    "OF_TEACHERS",
    "BatchSize",
    "Loss",
    "MaskingSettings",
    "RetrainSettings",
    "SelectBy",
    "SettingsPart",
    "TeacherKind",
    "TeacherRecord",
    "TrainingSettings",
    "without_truth_values",
]

Loss = Literal["softmax", "sampled_softmax", "gbce"]
SelectBy = Literal["auto", "ndcg@10_full", "ndcg@10_unseen", "cross_entropy_full"]
TeacherKind = Literal["run", "onnx", "table"]
LARGEST_SEED = (1 << 32) - 1
"""Largest seed of NumPy's global generator."""

LARGEST_NUMBER = 1 << 31
"""Upper limit of epochs, batch sizes and negatives, as a hostile file may have huge numbers."""

BatchSize = Literal["auto"] | Annotated[int, Field(ge=1, le=LARGEST_NUMBER)]
"""Sequences per batch; ``auto`` suits the lengths of the dataset's histories."""

Beta2 = Annotated[float, Field(ge=0, lt=1, description="Adam: decay of the mean of squared gradients")]

Averaging = Annotated[
    float,
    Field(ge=0, lt=1, description="decay of the moving average of the weights, which is validated and saved instead"),
]

WeightDecay = Annotated[
    float,
    Field(ge=0, description="AdamW: share of matrices and embeddings that a step takes away, per learning rate"),
]

EARLIER_DEFAULTS: dict[str, Any] = {
    "batch_by": "sequences",
    "select_by": "ndcg@10_full",
    "search": {"batch_size": 32},
    "retrain": {"batch_size": 32, "averaging": 0.0, "beta2": 0.999, "weight_decay": 0.0},
}
"""Defaults of earlier versions, which are the values of keys that their documents lack."""

OF_TEACHERS = ("distillation", "temperature", "teacher_items")
"""Settings of the retraining that have no effect without a teacher."""


def without_truth_values(model: type[BaseModel], field: str, value: Any) -> Any:
    """Return a value for a field of a model; refuse true and false, which YAML's yes and no are, as numbers.

    Raises
    ------
    ValueError
        A truth value is given, alone or in a list, to a field that takes none; pydantic would read 1 or 0.
    """
    values = value if isinstance(value, list | tuple) else [value]
    takes_any = field not in model.model_fields or model.model_fields[field].annotation in (bool, Any)
    if not takes_any and any(isinstance(each, bool) for each in values):
        raise ValueError("yes and no (true, false) are not valid here: write a number, or a text in quotes")
    return value


class SettingsPart(BaseModel):
    """Base of settings sections: frozen, without unknown keys, finite numbers only."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, populate_by_name=True)

    @field_validator("*", mode="before")
    @classmethod
    def _check_truth(cls, value: Any, info: ValidationInfo) -> Any:
        return without_truth_values(cls, str(info.field_name), value)


class OptimizerSettings(SettingsPart):
    """Optimiser of a network's weights: Adam, or AdamW with weight decay."""

    learning_rate: float = Field(1e-3, gt=0, description="Adam: learning rate of network weights")
    beta2: Beta2 = 0.999
    weight_decay: WeightDecay = 0.0


class RetrainSettings(OptimizerSettings):
    """Settings of the retraining stage."""

    epochs: int = Field(200, ge=1, le=LARGEST_NUMBER, description="maximum number of epochs")
    patience: int = Field(10, ge=1, le=LARGEST_NUMBER, description="epochs without improvement before training stops")
    batch_size: BatchSize = Field(
        "auto", description="sequences per batch; auto: as many as have about 1,024 targets (augmented: samples)"
    )
    beta2: Beta2 = 0.98
    weight_decay: WeightDecay = 0.1
    weights: Literal["inherit", "scratch"] = Field("inherit", description="the supernet's weights, or random ones")
    averaging: Averaging = 0.998
    refit: bool = Field(
        False, description="train once more for the best number of epochs, on training and validation interactions"
    )
    teacher: str | None = Field(
        None,
        min_length=1,
        description="network to distil from: folder of a retraining, ONNX file, or table of scores",
    )
    distillation: float = Field(
        0.5, gt=0, le=1, description="teacher: weight of its distribution; the loss of the targets has the rest"
    )
    temperature: float = Field(1.0, gt=0, le=1e6, description="teacher: temperature of its and the network's scores")
    teacher_items: int = Field(
        100,
        ge=1,
        le=LARGEST_NUMBER,
        description="teacher in an ONNX file or a table: best items of a position that are stored, the rest as one sum",
    )


class MaskingSettings(SettingsPart):
    """Masking in the masked mode; see :class:`~easrec_nni.data.batches.masked.MaskedBatches`."""

    share: float = Field(0.2, gt=0, lt=1, description="share of a sequence's items to mask, at least one item")
    newest_share: float = Field(
        0.5, ge=0, le=1, description="share of sequences with only the newest item masked, as in prediction"
    )


class TeacherRecord(SettingsPart):
    """Teacher that a network was distilled from."""

    kind: TeacherKind = Field(description="folder of a retraining, ONNX file, or table of scores")
    sha256: str = Field(pattern="^[0-9a-f]{64}$", description="of its weights, or of its file")
    weight: float = Field(gt=0, le=1)
    temperature: float = Field(gt=0)
    items: int | None = Field(None, ge=1, le=LARGEST_NUMBER, description="stored items of a position, where not all")


class TrainingSettings(SettingsPart):
    """Section ``training`` of an architecture; unset keys are unknown.

    A section ``retrain`` that lacks a key was written by a version without it: see :data:`EARLIER_DEFAULTS`. Only the
    recipe: settings that depend on the machine (devices, precision, micro-batches) are left out. Keys are
    those of :class:`~easrec_nni.settings.trial.TrialSettings`, which checks the rules between them.
    """

    mode: Mode | None = None
    masking: MaskingSettings | None = Field(None, description="mode: masked")
    history: History | None = None
    batch_by: BatchBy | None = None
    loss: Loss | None = None
    negatives: int | None = Field(None, ge=1, le=LARGEST_NUMBER, description="losses that draw negatives")
    gbce_t: float | None = Field(None, ge=0, le=1, description="loss: gbce")
    label_smoothing: float | None = Field(None, ge=0, lt=1, description="loss: softmax")
    select_by: SelectBy | None = None
    arch_share: float | None = Field(
        None, gt=0, lt=1, description="share of users whose validation targets trained alpha and beta"
    )
    seed: int | None = Field(None, ge=0, le=LARGEST_SEED)
    retrain: RetrainSettings | None = None
    teacher: TeacherRecord | None = None
    refitted_epochs: int | None = Field(
        None, ge=1, le=LARGEST_NUMBER, description="epochs on training and validation interactions together"
    )

    @model_validator(mode="before")
    @classmethod
    def _earlier_retrainings_keep_their_settings(cls, document: Any) -> Any:
        if isinstance(document, dict) and isinstance(document.get("retrain"), dict):
            document = {**document, "retrain": {**EARLIER_DEFAULTS["retrain"], **document["retrain"]}}
        return document

    def flat(self) -> dict[str, Any]:
        """Values by dotted name, without unset keys.

        Examples
        --------
        >>> TrainingSettings(mode="masked", masking=MaskingSettings(share=0.3)).flat()
        {'mode': 'masked', 'masking.share': 0.3, 'masking.newest_share': 0.5}
        """
        values: dict[str, Any] = {}
        for name, value in self.model_dump(exclude_none=True).items():
            values |= (
                {f"{name}.{key}": entry for key, entry in value.items()} if isinstance(value, dict) else {name: value}
            )
        return values
