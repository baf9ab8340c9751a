"""A study's folder: what was asked for, and the cells that are complete."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from easrec_nni.architecture.document import DatasetReference
from easrec_nni.common.errors import UserError
from easrec_nni.common.files import read_json, write_text
from easrec_nni.common.provenance import provenance
from easrec_nni.data.dataset import Dataset
from easrec_nni.settings.trial import TrialSettings
from easrec_nni.study.cells import Cell, read_result
from easrec_nni.study.tables import Grid

__all__ = ["STUDY_FILE", "Study", "open_study", "read_settings"]

SCHEMA_VERSION = 1
STUDY_FILE = "study.json"


@dataclass(frozen=True)
class Study:
    """Cells in a folder, all with the same shared settings and data."""

    path: Path
    settings: TrialSettings

    def cell_folder(self, cell: Cell) -> Path:
        """Folder of a cell."""
        return self.path / "cells" / cell.path

    def missing(self, cells: Sequence[Cell]) -> list[Cell]:
        """Cells without a result."""
        return [cell for cell in cells if read_result(self.cell_folder(cell)) is None]


def read_settings(path: Path) -> TrialSettings:
    """Shared settings of a study.

    Raises
    ------
    UserError
        There is no study in the folder, or its file is damaged.
    """
    return TrialSettings.reopen(_read(path)["settings"], str(path / STUDY_FILE))


def _read(path: Path) -> dict[str, Any]:
    file = path / STUDY_FILE
    try:
        document = read_json(file)
        if document["schema_version"] != SCHEMA_VERSION or not isinstance(document["settings"], dict):
            raise ValueError
    except FileNotFoundError:
        raise UserError(f"{path} is no study: there is no {STUDY_FILE}; `easrec reproduce` makes one") from None
    except (OSError, ValueError, KeyError, TypeError):
        raise UserError(f"{file} is damaged or of another version: choose another --out") from None
    return dict(document)


def open_study(path: Path, dataset: Dataset, settings: TrialSettings, budget: str, table: str, grid: Grid) -> Study:
    """Make a study's folder, or add a table to the one that is there.

    Raises
    ------
    UserError
        The folder holds a study with other settings or data.
    """
    known: dict[str, Any] = _read(path) if (path / STUDY_FILE).is_file() else {}
    if known:
        same = read_settings(path) == settings
        if not same or known["dataset"]["fingerprint"] != dataset.fingerprint:
            raise UserError(f"{path} holds a study with other {'data' if same else 'settings'}: choose another --out")
    if not known and path.exists() and any(path.iterdir()):
        raise UserError(f"{path} is not empty and no study: choose another --out")
    parameters = {**known.get("parameters", {}), **{name: list(values) for name, values in grid.parameters.items()}}
    document = {
        "schema_version": SCHEMA_VERSION,
        "tables": _union(known.get("tables", []), [table]),
        "dataset": DatasetReference.of(dataset).model_dump(),
        "systems": _union(known.get("systems", []), grid.systems),
        "seeds": sorted(_union(known.get("seeds", []), grid.seeds)),
        "parameters": parameters,
        "settings": settings.model_dump(mode="json", by_alias=True),
        "budget": budget,
        **provenance(),
    }
    write_text(path / STUDY_FILE, json.dumps(document, indent=2) + "\n")
    return Study(path, settings)


def _union(known: Sequence[Any], more: Sequence[Any]) -> list[Any]:
    return list(dict.fromkeys([*known, *more]))
