"""Definition of a measurement, its request, and the data it runs on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from easrec_nni.bench.machine import Allocator
from easrec_nni.bench.own_process import in_own_process
from easrec_nni.bench.tables import figures_table
from easrec_nni.common.errors import UserError
from easrec_nni.data.dataset import Dataset
from easrec_nni.data.loading import load_dataset
from easrec_nni.settings.trial import TrialSettings
from easrec_nni.training.context import TrialContext
from easrec_nni.training.trainer import seed_everything
from search_spaces import Choice, EASRecNetwork, SpaceConfig

__all__ = ["Bench", "BenchRequest", "Figures", "Measurement"]

Figures = dict[str, Any]


class BenchRequest(BaseModel):
    """Parameters of all measurements; a stored result is reused only for an equal request."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    dataset: str | None = Field(None, description="name or path of the prepared dataset")
    settings: dict[str, Any] = Field(description="the trial's settings")
    choices: dict[str, Any] | None = Field(None, description="a searched architecture, beside the unpruned one")
    runs: tuple[str, ...] = Field((), description="folders of retrained networks")
    sizes: tuple[int, ...] = Field((), description="prepare-scale: interactions of the logs")
    target: float | None = Field(None, description="validation NDCG@10 full to reach")
    repeats: int = Field(5, ge=1)
    batches: int | None = Field(None, ge=1, description="iterations of an epoch that are measured, all by default")
    threads: int = Field(ge=1)
    allocator: Allocator = "keep"
    quick: bool = Field(False, description="whether to try everything at a small size; says nothing about speed")


@dataclass(frozen=True)
class Bench:
    """A request with its dataset, settings and networks, loaded on first use.

    Attributes
    ----------
    request
        Request of the user.
    """

    request: BenchRequest

    @cached_property
    def dataset(self) -> Dataset:
        """The prepared dataset.

        Raises
        ------
        UserError
            The request names no dataset, or it cannot be read.
        """
        if self.request.dataset is None:
            raise UserError("name the dataset to measure on: easrec bench DATASET, such as easrec bench ml-100k")
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
        choices = {"unpruned": self.space.largest}
        if self.request.choices is not None:
            choices["searched"] = self.space.choice(self.request.choices)
        return choices

    def network(self, choice: Choice) -> EASRecNetwork:
        """Network with fresh weights, initialised from the settings' seed."""
        seed_everything(self.settings.seed)
        return EASRecNetwork(self.space.compact(choice))

    @property
    def networks(self) -> dict[str, Any]:
        """Networks of :attr:`choices` with fresh weights, in evaluation mode."""
        return {name: self.network(choice).eval() for name, choice in self.choices.items()}

    @property
    def repeats(self) -> int:
        """Number of repeats, warm-up excluded."""
        return self.request.repeats

    @property
    def batches(self) -> int | None:
        """Number of measured iterations per epoch; None for all."""
        return 2 if self.request.quick else self.request.batches

    def in_own_process(self, function: Callable[..., Figures], **arguments: Any) -> Figures:
        """Call a function in a fresh process, so that its peak memory can be measured.

        A quick run calls it in this process, where peak memory means nothing.

        Parameters
        ----------
        function
            Module-level function to call.
        arguments
            Keyword arguments, JSON-serialisable.
        """
        if self.request.quick:
            return function(**arguments)
        return in_own_process(function, arguments, self.request.threads, self.request.allocator)


@dataclass(frozen=True)
class Measurement:
    """A named measurement of ``easrec bench``.

    Attributes
    ----------
    name
        Name in files and on the command line.
    summary
        One-line description.
    measure
        Function that measures; its figures have units in their names.
    table
        Function that shows the figures as lines of Markdown.
    needs_dataset
        Whether it measures on DATASET.
    by_default
        Whether it runs when no measurement is named.
    warms_up
        Whether a turn that does not count runs first.
    check
        Function that raises a :class:`~easrec_nni.common.errors.UserError` if a required package is missing.
    """

    name: str
    summary: str
    measure: Callable[[Bench], Figures]
    table: Callable[[Figures], list[str]] = figures_table
    needs_dataset: bool = True
    by_default: bool = True
    warms_up: bool = True
    check: Callable[[], None] = lambda: None
