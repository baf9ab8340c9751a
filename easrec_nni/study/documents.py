"""Documents of a study: ``study.json``, ``result.json`` of each cell, ``efficiency.json``."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, field_validator

from easrec_nni.architecture.schema import DatasetIdentity
from easrec_nni.common.documents import Document, Number, ResultDocument, Value
from easrec_nni.evaluation.figures import check_accuracy, check_kind

__all__ = [
    "EFFICIENCY_FILE",
    "RESULT_FILE",
    "SCHEMA_VERSION",
    "STUDY_FILE",
    "CellIdentity",
    "CellResult",
    "EfficiencyDocument",
    "EfficiencyRow",
    "Spread",
    "StudyDocument",
]

SCHEMA_VERSION: Literal[1] = 1
STUDY_FILE, RESULT_FILE, EFFICIENCY_FILE = "study.json", "result.json", "efficiency.json"


class StudyDocument(ResultDocument):
    """``study.json``: tables, systems, seeds and settings of a study."""

    schema_version: Literal[1]
    tables: list[str]
    dataset: DatasetIdentity
    systems: list[str]
    seeds: list[int]
    parameters: dict[str, list[Value]] = {}
    settings: dict[str, Any]
    budget: str = ""


class CellResult(ResultDocument):
    """``result.json`` of a cell: one system with one seed."""

    schema_version: Literal[1]
    system: str
    title: str
    group: str
    source: str = ""
    seed: int
    parameters: dict[str, Value] = {}
    dataset: DatasetIdentity
    test: dict[str, float]
    valid: dict[str, float]
    valid_selection_users: dict[str, float] = {}
    cost: dict[str, float] = {}
    negatives_version: int = 1
    inference: dict[str, float] = {}
    test_refitted: dict[str, float] = {}
    bytes_on_disk: int = Field(0, ge=0)
    choices: dict[str, Number] | None = None
    training: dict[str, Number] = {}
    budget: dict[str, Number] = {}
    settings: dict[str, Any] = {}

    @field_validator("test", "valid")
    @classmethod
    def _accuracy_is_there(cls, figures: dict[str, float]) -> dict[str, float]:
        return check_kind(check_accuracy(figures), refitted=False)

    @field_validator("test_refitted")
    @classmethod
    def _refitted_figures_have_names_of_their_own(cls, figures: dict[str, float]) -> dict[str, float]:
        return check_kind(figures, refitted=True)

    @field_validator("cost")
    @classmethod
    def _costs_are_counts(cls, cost: dict[str, float]) -> dict[str, float]:
        for name, value in cost.items():
            if value < 0:
                raise ValueError(f"{name} is negative")
        return cost


class Spread(Document):
    """Median and range of a repeated measurement."""

    median: float = Field(ge=0)
    min: float = Field(ge=0)
    max: float = Field(ge=0)


class CellIdentity(Document):
    """System, seed and further parameters of a cell."""

    system: str
    seed: int
    parameters: dict[str, Value] = {}


class EfficiencyRow(CellIdentity):
    """Measurements of one system; None for a figure that was not measured."""

    inference_seconds_test_set: Spread | None = None
    inference_processor_seconds_test_set: Spread | None = None
    inference_ms_per_user: Spread | None = None
    latency_ms_batch1: Spread | None = None
    throughput_batch: int | None = None
    test_users: int | None = None
    latency_users: int | None = None
    peak_memory_bytes: Number | None = Field(None, ge=0)
    baseline_peak_memory_bytes: Number | None = Field(None, ge=0)
    bytes_on_disk: int | None = Field(None, ge=0)


class EfficiencyDocument(ResultDocument):
    """``efficiency.json``: inference time and memory, measured with no trials running."""

    schema_version: Literal[1]
    machine: dict[str, Value] = {}
    threads: int | None = None
    allocator: str = ""
    repeats: int | None = None
    order: str = ""
    load_average: dict[str, list[float]] = {}
    rows: list[EfficiencyRow]
    skipped: list[CellIdentity] = []
    dataset: DatasetIdentity | None = None
