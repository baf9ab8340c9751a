"""A study's folder: its document and its cells."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from easrec_nni.architecture.schema import DatasetIdentity
from easrec_nni.common.documents import read_document
from easrec_nni.common.errors import UserError
from easrec_nni.common.files import write_json
from easrec_nni.common.provenance import provenance
from easrec_nni.data.dataset import Dataset
from easrec_nni.settings.trial import TrialSettings
from easrec_nni.study.cells import Cell, complete_result
from easrec_nni.study.documents import SCHEMA_VERSION, STUDY_FILE, StudyDocument
from easrec_nni.study.tables import Grid

__all__ = ["STUDY_FILE", "Study", "open_study", "read_settings", "without_refit"]


@dataclass(frozen=True)
class Study:
    """Folder of cells that share their settings and dataset."""

    path: Path
    settings: TrialSettings

    def cell_folder(self, cell: Cell) -> Path:
        """Folder of a cell."""
        return self.path / "cells" / cell.path

    def missing(self, cells: Sequence[Cell]) -> list[Cell]:
        """Cells without a result."""
        return [cell for cell in cells if complete_result(self.cell_folder(cell), self.settings) is None]


def without_refit(settings: TrialSettings) -> TrialSettings:
    """Settings without the refit, which follows a run and does not change it."""
    return settings.model_copy(update={"retrain": settings.retrain.model_copy(update={"refit": False})})


def read_settings(path: Path) -> TrialSettings:
    """Shared settings of a study.

    Raises
    ------
    UserError
        There is no study in the folder, or its file is damaged.
    """
    return TrialSettings.reopen(_read(path).settings, str(path / STUDY_FILE))


def _read(path: Path) -> StudyDocument:
    file = path / STUDY_FILE
    if not file.is_file():
        raise UserError(f"{path} is not a study folder: it has no {STUDY_FILE}; `easrec reproduce` creates one")
    return read_document(file, StudyDocument, "choose another --out")


def open_study(path: Path, dataset: Dataset, settings: TrialSettings, budget: str, table: str, grid: Grid) -> Study:
    """Create a study's folder, or add a table, or a refit of all cells, to an existing one.

    Raises
    ------
    UserError
        The folder holds a study with other settings or data.
    """
    existing = _read(path) if (path / STUDY_FILE).is_file() else None
    if existing is not None:
        recorded = read_settings(path)
        same = without_refit(recorded) == without_refit(settings)
        settings = recorded if recorded.retrain.refit else settings  # refitted cells stay so
        if not same or existing.dataset.fingerprint != dataset.fingerprint:
            raise UserError(f"{path} holds a study with other {'data' if same else 'settings'}: choose another --out")
    if existing is None and path.exists() and any(path.iterdir()):
        raise UserError(f"{path} is neither empty nor a study folder: choose another --out")
    document = StudyDocument(
        schema_version=SCHEMA_VERSION,
        tables=_union(existing.tables if existing else [], [table]),
        dataset=DatasetIdentity.of(dataset),
        systems=_union(existing.systems if existing else [], grid.systems),
        seeds=sorted(_union(existing.seeds if existing else [], grid.seeds)),
        parameters={
            **(existing.parameters if existing else {}),
            **{name: list(values) for name, values in grid.parameters.items()},
        },
        settings=settings.model_dump(mode="json", by_alias=True),
        budget=budget,
        **provenance(),
    )
    write_json(path / STUDY_FILE, document.as_json())
    return Study(path, settings)


def _union(first: Sequence[Any], second: Sequence[Any]) -> list[Any]:
    return list(dict.fromkeys([*first, *second]))
