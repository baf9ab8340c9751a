"""Reads a study's folder: complete and unfinished cells, and measured efficiency."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from easrec_nni.common.documents import read_document
from easrec_nni.common.errors import UserError
from easrec_nni.common.run_files import RANKS_FILE
from easrec_nni.evaluation.figures import TEST_USERS, protocols_of
from easrec_nni.evaluation.metrics import mean_by_user, user_gains
from easrec_nni.evaluation.rank_files import read_ranks
from easrec_nni.study.cells import Cell
from easrec_nni.study.documents import (
    EFFICIENCY_FILE,
    RESULT_FILE,
    STUDY_FILE,
    CellResult,
    EfficiencyDocument,
    StudyDocument,
)
from easrec_nni.study.tables import TABLES
from easrec_nni.training import history

__all__ = ["CellRecord", "StudyRecord", "read_history", "read_study"]

AGREEMENT = 1e-6  # tolerance between a figure in result.json and the same figure from ranks.npz


@dataclass(frozen=True)
class CellRecord:
    """Complete cell of a study.

    Attributes
    ----------
    result
        Figures of the cell.
    folder
        Folder of the cell's files.
    ranks
        Rank of each test target by protocol, int64 ``[targets]``; empty if the file is missing.
    users
        User of each target, ``[targets]``, where users have several targets; else None.
    """

    result: CellResult
    folder: Path
    ranks: dict[str, NDArray[np.int64]]
    users: NDArray[np.int64] | None = None

    def gains(self, metric: str, protocol: str, k: int) -> NDArray[np.float64]:
        """What each user adds to a metric, ``[users]``: the mean over its targets."""
        return mean_by_user(user_gains(self.ranks[protocol], metric, k), self.users)

    @property
    def key(self) -> tuple[str, tuple[tuple[str, object], ...], int]:
        """System, parameters and seed."""
        return self.result.system, tuple(sorted(self.result.parameters.items())), self.result.seed


@dataclass(frozen=True)
class StudyRecord:
    """Content of a study's folder.

    Attributes
    ----------
    unfinished
        Paths, below ``cells``, of requested or started cells without a result.
    """

    path: Path
    document: StudyDocument
    cells: tuple[CellRecord, ...]
    unfinished: tuple[str, ...]
    efficiency: EfficiencyDocument | None


def read_study(path: Path) -> StudyRecord:
    """Read a study's folder.

    Raises
    ------
    UserError
        The folder is not a study, a file is damaged, or no cell is complete.
    """
    if not (path / STUDY_FILE).is_file():
        raise UserError(f"{path} is not a study folder: it has no {STUDY_FILE}; give a folder of `easrec reproduce`")
    document = read_document(path / STUDY_FILE, StudyDocument, "restore it, or run `easrec reproduce` with a new --out")
    folders = sorted(folder for folder in (path / "cells").glob("*/seed*") if folder.is_dir())
    cells = [_read_cell(folder, document) for folder in folders if (folder / RESULT_FILE).is_file()]
    if not cells:
        raise UserError(f"{path} has no complete cell yet; run `easrec reproduce` again; it resumes where it stopped")
    started = {folder.relative_to(path / "cells").as_posix() for folder in folders}
    complete = {cell.folder.relative_to(path / "cells").as_posix() for cell in cells}
    efficiency = None
    if (path / EFFICIENCY_FILE).is_file():
        remedy = "remove it and run the same `easrec reproduce` again to measure"
        efficiency = read_document(path / EFFICIENCY_FILE, EfficiencyDocument, remedy)
    unfinished = sorted((started | _expected(document, cells)) - complete)
    return StudyRecord(path, document, tuple(cells), tuple(unfinished), efficiency)


def _expected(document: StudyDocument, cells: Sequence[CellRecord]) -> set[str]:
    """Paths of the cells in the study's tables."""
    return {cell.path.as_posix() for cell in [*_plain_cells(document), *_swept_cells(document, cells)]}


def _plain_cells(document: StudyDocument) -> list[Cell]:
    """Cells without parameters: every seed of the systems in tables without a sweep.

    A study's file merges the systems of all its tables. A system that only occurs in sweeps has no such cells.
    """
    tables = [TABLES[name] for name in document.tables if name in TABLES]
    plain = {system for table in tables if not table.parameters for system in table.systems}
    only_swept = {system for table in tables if table.parameters for system in table.systems} - plain
    if all(table.parameters for table in tables):
        return []
    return [Cell(name, seed) for name in document.systems if name not in only_swept for seed in document.seeds]


def _swept_cells(document: StudyDocument, cells: Sequence[CellRecord]) -> list[Cell]:
    """Cells of the sweeps: every value for the systems and seeds with a swept cell."""
    started = {(cell.result.system, cell.result.seed) for cell in cells if cell.result.parameters}
    return [
        Cell(system, seed, {name: value})
        for name, values in document.parameters.items()
        for system, seed in started
        for value in values
    ]


def _read_cell(folder: Path, study: StudyDocument) -> CellRecord:
    remedy = f"remove {folder} and run the same `easrec reproduce` again"
    file = folder / RESULT_FILE
    result = read_document(file, CellResult, remedy)
    if result.dataset.fingerprint != study.dataset.fingerprint:
        raise UserError(f"{file} is of another dataset than its study; {remedy}")
    ranks = _read_ranks(folder / RANKS_FILE, protocols_of(result.test), remedy)
    cell = CellRecord(result, folder, ranks, ranks.pop(TEST_USERS, None))
    if ranks:
        _check_ranks(cell, folder / RANKS_FILE, remedy)
    return cell


def _read_ranks(file: Path, protocols: Sequence[str], remedy: str) -> dict[str, NDArray[np.int64]]:
    if not file.is_file():
        return {}
    ranks = read_ranks(file, [f"test_{name}" for name in protocols], remedy)
    return {name if name == TEST_USERS else name.removeprefix("test_"): array for name, array in ranks.items()}


def _check_ranks(cell: CellRecord, file: Path, remedy: str) -> None:
    """Refuse ranks that do not give the result's NDCG@10, since they come from another run."""
    for protocol in cell.ranks:
        key = f"ndcg@10_{protocol}"
        mean, known = float(cell.gains("ndcg", protocol, 10).mean()), cell.result.test[key]
        if not math.isclose(mean, known, abs_tol=AGREEMENT):
            raise UserError(f"{file} gives {key}={mean:.6f}, {RESULT_FILE} {known:.6f}; {remedy}")


def read_history(file: Path) -> list[dict[str, float]]:
    """Rows of a ``history.csv``, one per epoch; none if the file does not exist.

    Raises
    ------
    UserError
        The file is damaged.
    """
    if not file.is_file():
        return []
    rows = history.read_history(file, "remove its cell's folder and run it again", empty="nan")
    return [{name: value for name, value in row.items() if math.isfinite(value)} for row in rows]
