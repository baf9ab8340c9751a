"""Reads a study's folder: the cells that are complete, those that are not, and what was measured."""

from __future__ import annotations

import math
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from easrec_nni.common.documents import read_document
from easrec_nni.common.errors import UserError
from easrec_nni.evaluation.figures import TEST_USERS, protocols_of
from easrec_nni.evaluation.metrics import mean_by_user, user_gains
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

RANKS_FILE = "ranks.npz"
AGREEMENT = 1e-6  # of a figure in result.json and the same figure made from ranks.npz


@dataclass(frozen=True)
class CellRecord:
    """A complete cell.

    Attributes
    ----------
    result
        Its figures.
    folder
        Where its other files are.
    ranks
        Rank of each test target by protocol, int64 ``[targets]``; empty if the file is not there.
    users
        ``[targets]`` user of each target, where users have several; else None.
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
    """All that a study's folder holds.

    Attributes
    ----------
    unfinished
        Paths, below ``cells``, of the cells that were asked for or begun and have no result.
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
        There is no study, a file is damaged, or no cell is complete.
    """
    if not (path / STUDY_FILE).is_file():
        raise UserError(f"{path} is no study: there is no {STUDY_FILE}; give a folder that `easrec reproduce` wrote")
    document = read_document(path / STUDY_FILE, StudyDocument, "restore it, or run `easrec reproduce` with a new --out")
    folders = sorted(folder for folder in (path / "cells").glob("*/seed*") if folder.is_dir())
    cells = [_read_cell(folder, document) for folder in folders if (folder / RESULT_FILE).is_file()]
    if not cells:
        raise UserError(f"{path} has no complete cell yet; run `easrec reproduce` again, it goes on where it was")
    begun = {folder.relative_to(path / "cells").as_posix() for folder in folders}
    complete = {cell.folder.relative_to(path / "cells").as_posix() for cell in cells}
    efficiency = None
    if (path / EFFICIENCY_FILE).is_file():
        remedy = "remove it and run the same `easrec reproduce` again: it measures anew"
        efficiency = read_document(path / EFFICIENCY_FILE, EfficiencyDocument, remedy)
    unfinished = sorted((begun | _expected(document, cells)) - complete)
    return StudyRecord(path, document, tuple(cells), tuple(unfinished), efficiency)


def _expected(document: StudyDocument, cells: Sequence[CellRecord]) -> set[str]:
    """Paths of the cells that the study's tables ask for."""
    return {cell.path.as_posix() for cell in [*_plain_cells(document), *_swept_cells(document, cells)]}


def _plain_cells(document: StudyDocument) -> list[Cell]:
    """Cells without parameters: every seed of the systems of the tables that sweep nothing.

    A study's file joins the systems of all its tables. One that is named by sweeps alone has no such cells.
    """
    tables = [TABLES[name] for name in document.tables if name in TABLES]
    plain = {system for table in tables if not table.parameters for system in table.systems}
    swept_alone = {system for table in tables if table.parameters for system in table.systems} - plain
    if all(table.parameters for table in tables):
        return []
    return [Cell(name, seed) for name in document.systems if name not in swept_alone for seed in document.seeds]


def _swept_cells(document: StudyDocument, cells: Sequence[CellRecord]) -> list[Cell]:
    """Cells of the sweeps: every value of the systems and seeds that a sweep has begun."""
    begun = {(cell.result.system, cell.result.seed) for cell in cells if cell.result.parameters}
    return [
        Cell(system, seed, {name: value})
        for name, values in document.parameters.items()
        for system, seed in begun
        for value in values
    ]


def _read_cell(folder: Path, study: StudyDocument) -> CellRecord:
    remedy = f"remove {folder} and run the same `easrec reproduce` again"
    file = folder / RESULT_FILE
    result = read_document(file, CellResult, remedy)
    if result.dataset.fingerprint != study.dataset.fingerprint:
        raise UserError(f"{file} is about other data than its study; {remedy}")
    ranks = _read_ranks(folder / RANKS_FILE, protocols_of(result.test), remedy)
    cell = CellRecord(result, folder, ranks, ranks.pop(TEST_USERS, None))
    if ranks:
        _check_ranks(cell, folder / RANKS_FILE, remedy)
    return cell


def _read_ranks(file: Path, protocols: Sequence[str], remedy: str) -> dict[str, NDArray[np.int64]]:
    if not file.is_file():
        return {}
    try:
        with np.load(file, allow_pickle=False) as arrays:
            ranks = {name: np.asarray(arrays[f"test_{name}"]) for name in protocols}
            users = np.asarray(arrays[TEST_USERS]) if TEST_USERS in arrays.files else None
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise UserError(f"{file} is damaged ({error}); {remedy}") from None
    if any(array.ndim != 1 or array.dtype.kind != "i" or not array.size or array.min() < 1 for array in ranks.values()):
        raise UserError(f"{file} is damaged (ranks are whole numbers from 1, in one row); {remedy}")
    if users is None:
        return ranks
    if users.dtype.kind != "i" or any(array.shape != users.shape for array in ranks.values()):
        raise UserError(f"{file} is damaged (there is one user for each target); {remedy}")
    return ranks | {TEST_USERS: users}


def _check_ranks(cell: CellRecord, file: Path, remedy: str) -> None:
    """Ranks of another run would give another run's statistics."""
    for protocol in cell.ranks:
        key = f"ndcg@10_{protocol}"
        mean, known = float(cell.gains("ndcg", protocol, 10).mean()), cell.result.test[key]
        if not math.isclose(mean, known, abs_tol=AGREEMENT):
            raise UserError(f"{file} gives {key}={mean:.6f}, {RESULT_FILE} {known:.6f}; {remedy}")


def read_history(file: Path) -> list[dict[str, float]]:
    """Rows of a ``history.csv``, one for each epoch; none if there is no such file.

    Raises
    ------
    UserError
        The file is damaged.
    """
    if not file.is_file():
        return []
    rows = history.read_history(file, "remove its cell's folder and run it again", empty="nan")
    return [{name: value for name, value in row.items() if math.isfinite(value)} for row in rows]
