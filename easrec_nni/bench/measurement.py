"""What a measurement is, and what it is given."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from easrec_nni.data.dataset import Dataset
from easrec_nni.data.loading import load_dataset
from easrec_nni.settings.trial import TrialSettings
from easrec_nni.training.context import TrialContext
from easrec_nni.training.trainer import seed_everything
from search_spaces import Choice, EASRecSpace, SpaceConfig

__all__ = ["Bench", "BenchRequest", "Figures", "Measurement"]

Figures = dict[str, Any]


class BenchRequest(BaseModel):
    """Everything that decides what is measured; a measurement of another request is not taken for this one's."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    dataset: str = Field(description="name or path of the prepared dataset")
    settings: dict[str, Any] = Field(description="the trial's settings")
    choices: dict[str, Any] | None = Field(None, description="a searched architecture, beside the unpruned one")
    target: float | None = Field(None, description="validation NDCG@10 full to reach")
    repeats: int = Field(5, ge=1)
    batches: int | None = Field(None, ge=1, description="iterations of an epoch that are measured, all by default")
    threads: int = Field(ge=1)
    allocator: str = "keep"
    quick: bool = Field(False, description="whether to try everything at a small size, which says nothing about speed")


@dataclass(frozen=True)
class Bench:
    """A request with its data at hand.

    Attributes
    ----------
    request
        What was asked for.
    """

    request: BenchRequest

    @cached_property
    def dataset(self) -> Dataset:
        """The prepared dataset."""
        return load_dataset(self.request.dataset)

    @cached_property
    def settings(self) -> TrialSettings:
        """The trial's settings."""
        return TrialSettings.parse(self.request.settings, "settings")

    @cached_property
    def context(self) -> TrialContext:
        """Settings, dataset and the space over its items."""
        return TrialContext.open(self.settings, self.dataset)

    @property
    def space(self) -> SpaceConfig:
        """The search space over the dataset's items."""
        return self.context.space

    @property
    def choices(self) -> dict[str, Choice]:
        """Architectures to measure, by name."""
        found = {"unpruned": self.space.largest}
        if self.request.choices is not None:
            found["searched"] = self.space.choice(self.request.choices)
        return found

    def network(self, choice: Choice) -> EASRecSpace:
        """A network with fresh weights, which the settings' seed decides."""
        seed_everything(self.settings.seed)
        return EASRecSpace(self.space.compact(choice))

    @property
    def repeats(self) -> int:
        """Repeats that count."""
        return self.request.repeats

    @property
    def batches(self) -> int | None:
        """Iterations of an epoch that are measured; None for all."""
        return 2 if self.request.quick else self.request.batches


@dataclass(frozen=True)
class Measurement:
    """Something that is measured.

    Attributes
    ----------
    name
        In files and on the command line.
    summary
        A line for people.
    measure
        Measures; its figures have units in their names.
    """

    name: str
    summary: str
    measure: Callable[[Bench], Figures]
