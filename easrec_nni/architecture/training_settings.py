"""Training settings that ``architecture.json`` records: how the networks of an architecture were trained."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from easrec_nni.data.batches.modes import BatchBy, History, Mode

__all__ = [
    "LARGEST_NUMBER",
    "LARGEST_SEED",
    "Loss",
    "MaskingSettings",
    "RetrainSettings",
    "SelectBy",
    "SettingsPart",
    "TrainingSettings",
]

Loss = Literal["softmax", "sampled_softmax", "gbce"]
SelectBy = Literal["ndcg@10_full", "ndcg@10_unseen"]
LARGEST_SEED = (1 << 32) - 1
"""Largest seed of NumPy's global generator."""

LARGEST_NUMBER = 1 << 31
"""Bound of epochs, batches and negatives: a hostile file may name numbers of thousands of digits."""


class SettingsPart(BaseModel):
    """A frozen section of settings that refuses unknown keys and numbers that are not finite."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, populate_by_name=True)


class RetrainSettings(SettingsPart):
    """The retraining stage."""

    epochs: int = Field(200, ge=1, le=LARGEST_NUMBER, description="largest number of epochs")
    patience: int = Field(10, ge=1, le=LARGEST_NUMBER, description="epochs without gain before the training stops")
    batch_size: int = Field(32, ge=1, le=LARGEST_NUMBER, description="sequences in a batch")
    learning_rate: float = Field(1e-3, gt=0, description="Adam")
    weights: Literal["inherit", "scratch"] = Field("inherit", description="the supernet's weights, or fresh ones")
    averaging: float = Field(
        0.0, ge=0, lt=1, description="decay of the weights' moving average, which is judged and kept in their place"
    )
    refit: bool = Field(
        False, description="train once more for the best number of epochs, on training and validation interactions"
    )


class MaskingSettings(SettingsPart):
    """What is hidden in the masked mode; see :class:`~easrec_nni.data.batches.masked.MaskedBatches`."""

    share: float = Field(0.2, gt=0, lt=1, description="share of a sequence's items that is masked, one at least")
    newest_share: float = Field(
        0.5, ge=0, le=1, description="share of sequences of which the newest item alone is masked, as if asked for"
    )


class TrainingSettings(SettingsPart):
    """Section ``training`` of an architecture; a key that is left out says nothing.

    The recipe alone: what depends on the machine (devices, precision, micro-batches) is left out. Keys mean what they
    mean in :class:`~easrec_nni.settings.trial.TrialSettings`, where all rules between them are checked.
    """

    mode: Mode | None = None
    masking: MaskingSettings | None = Field(None, description="mode: masked")
    history: History | None = None
    batch_by: BatchBy | None = None
    loss: Loss | None = None
    negatives: int | None = Field(None, ge=1, le=LARGEST_NUMBER, description="losses that draw negatives")
    gbce_t: float | None = Field(None, ge=0, le=1, description="loss: gbce")
    select_by: SelectBy | None = None
    arch_share: float | None = Field(
        None, gt=0, lt=1, description="share of users whose validation targets trained alpha and beta"
    )
    seed: int | None = Field(None, ge=0, le=LARGEST_SEED)
    retrain: RetrainSettings | None = None
    refitted_epochs: int | None = Field(
        None, ge=1, le=LARGEST_NUMBER, description="epochs on training and validation interactions together"
    )

    def flat(self) -> dict[str, Any]:
        """Values by dotted name, without those that are not said.

        Examples
        --------
        >>> TrainingSettings(mode="masked", masking=MaskingSettings(share=0.3)).flat()
        {'mode': 'masked', 'masking.share': 0.3, 'masking.newest_share': 0.5}
        """
        values: dict[str, Any] = {}
        for name, value in self.model_dump(exclude_none=True).items():
            values |= (
                {f"{name}.{key}": each for key, each in value.items()} if isinstance(value, dict) else {name: value}
            )
        return values
