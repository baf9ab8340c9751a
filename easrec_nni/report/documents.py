"""The files of a study as typed documents: what `easrec reproduce` writes and a report reads.

Keys that a later version adds are left alone; what a report counts on is checked here, so that a damaged file ends in
one line and not in half a report.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal, NoReturn, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from easrec_nni.common.errors import UserError
from easrec_nni.common.files import read_bounded
from easrec_nni.data.splits import LEAVE_ONE_OUT

__all__ = [
    "PROTOCOLS",
    "CellResult",
    "DatasetIdentity",
    "EfficiencyDocument",
    "EfficiencyRow",
    "Spread",
    "StudyDocument",
    "protocols_of",
    "read_document",
]

PROTOCOLS = ("full", "pop100", "pop100_recbole", "uni100")
LATER_PROTOCOLS = ("pop100_recbole",)
"""Those of :data:`PROTOCOLS` that results of earlier versions do not have."""
METRICS = ("recall", "mrr", "ndcg")
LARGEST_FILE_BYTES = 16 << 20
LONGEST_QUOTE = 120  # characters of a message that quotes what it refuses


class _Document(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)


class DatasetIdentity(_Document):
    """Which data a study is about; equal fingerprints mean equal interactions, split and negatives."""

    name: str
    fingerprint: str
    n_users: int = Field(ge=1)
    n_items: int = Field(ge=1)
    split: str = LEAVE_ONE_OUT

    @property
    def title(self) -> str:
        """Name, with the split where it is not the usual one: figures of two splits are not to be compared."""
        return self.name if self.split == LEAVE_ONE_OUT else f"{self.name}, split {self.split}"


def protocols_of(figures: dict[str, float]) -> tuple[str, ...]:
    """Rankings that a result should have figures of: all, but for the later ones of which it has none."""
    return tuple(
        name
        for name in PROTOCOLS
        if name not in LATER_PROTOCOLS or any(f"{metric}@10_{name}" in figures for metric in METRICS)
    )


def _check_accuracy(figures: dict[str, float]) -> dict[str, float]:
    for protocol in protocols_of(figures):
        for metric in METRICS:
            key = f"{metric}@10_{protocol}"
            if key not in figures:
                raise ValueError(f"{key} is missing")
            if not 0 <= figures[key] <= 1:
                raise ValueError(f"{key}={figures[key]} is not from 0 to 1")
    return figures


class CellResult(_Document):
    """``result.json`` of a cell: one system with one seed."""

    schema_version: Literal[1]
    system: str
    title: str
    group: str
    source: str = ""
    seed: int
    parameters: dict[str, float | int | str | bool | None] = {}
    dataset: DatasetIdentity
    test: dict[str, float]
    valid: dict[str, float]
    valid_selection_users: dict[str, float] = {}
    negatives_version: int = 1
    cost: dict[str, float] = {}
    bytes_on_disk: int = Field(0, ge=0)
    choices: dict[str, float] | None = None
    budget: dict[str, float] = {}
    training: dict[str, float] = {}
    settings: dict[str, Any] = {}
    versions: dict[str, str] = {}
    commit: str | None = None
    command: str = ""
    written: str = ""

    @field_validator("test", "valid")
    @classmethod
    def _accuracy_is_there(cls, figures: dict[str, float]) -> dict[str, float]:
        return _check_accuracy(figures)

    @field_validator("cost")
    @classmethod
    def _costs_are_counts(cls, cost: dict[str, float]) -> dict[str, float]:
        for name, value in cost.items():
            if value < 0:
                raise ValueError(f"{name} is negative")
        return cost


class StudyDocument(_Document):
    """``study.json``: what was asked for."""

    schema_version: Literal[1]
    tables: list[str]
    dataset: DatasetIdentity
    systems: list[str]
    seeds: list[int]
    parameters: dict[str, list[float | int | str | bool | None]] = {}
    settings: dict[str, Any]
    budget: str = ""
    command: str = ""
    commit: str | None = None
    versions: dict[str, str] = {}


class Spread(_Document):
    """A measurement that was repeated."""

    median: float = Field(ge=0)
    min: float = Field(ge=0)
    max: float = Field(ge=0)


class EfficiencyRow(_Document):
    """What was measured of one system; what is missing was not measured."""

    system: str
    seed: int
    parameters: dict[str, float | int | str | bool | None] = {}
    inference_seconds_test_set: Spread | None = None
    inference_processor_seconds_test_set: Spread | None = None
    inference_ms_per_user: Spread | None = None
    latency_ms_batch1: Spread | None = None
    throughput_batch: int | None = None
    peak_memory_bytes: float | None = Field(None, ge=0)
    baseline_peak_memory_bytes: float | None = Field(None, ge=0)
    bytes_on_disk: int | None = Field(None, ge=0)


class EfficiencyDocument(_Document):
    """``efficiency.json``: time and memory, measured with nothing else running."""

    schema_version: Literal[1]
    machine: dict[str, Any] = {}
    threads: int | None = None
    repeats: int | None = None
    load_average: dict[str, list[float]] = {}
    rows: list[EfficiencyRow]


Model = TypeVar("Model", bound=_Document)


def read_document(path: Path, model: type[Model], remedy: str) -> Model:
    """A JSON file as a document.

    Parameters
    ----------
    path
        The file.
    model
        What it should hold.
    remedy
        What a user can do about a damaged file; ends the message.

    Raises
    ------
    UserError
        The file cannot be read, is not JSON, is of another version, or lacks what the model asks for.
    """
    content = read_bounded(path, LARGEST_FILE_BYTES, f"; {remedy}", f"; {remedy}")
    try:
        document = json.loads(content.decode("utf-8"), parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} is damaged ({str(error)[:LONGEST_QUOTE]}); {remedy}") from None
    try:
        return model.model_validate(document)
    except ValidationError as error:
        problem = error.errors()[0]
        key = ".".join(str(part) for part in problem["loc"])[:LONGEST_QUOTE]
        reason = problem["msg"].removeprefix("Value error, ")[:LONGEST_QUOTE]
        raise UserError(f"{path} is damaged or of another version ({key}: {reason}); {remedy}") from None


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not a number of JSON")
