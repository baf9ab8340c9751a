"""Merges studies into one section per dataset, with cells grouped into systems."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from easrec_nni.architecture.schema import DatasetIdentity
from easrec_nni.architecture.training_settings import EARLIER_DEFAULTS
from easrec_nni.common.errors import UserError
from easrec_nni.evaluation.metrics import standard_error
from easrec_nni.evaluation.selection import COMPARABLE, protocol_of
from easrec_nni.report.content import Record
from easrec_nni.report.reading import CellRecord, StudyRecord
from easrec_nni.report.significance import Summary, summarise
from easrec_nni.study.documents import CellResult, EfficiencyRow
from easrec_nni.study.systems import GROUPS, SYSTEMS

__all__ = ["RANKINGS", "Section", "SystemCells", "merge_studies"]

TOP = 10
UNSEEN = "unseen"
RANKINGS = {"full": "full ranking", UNSEEN: "ranking of unseen items"}
"""Rankings that can compare systems, in words."""


@dataclass(frozen=True, eq=False)  # identity comparison: the key of cached comparisons of large arrays
class SystemCells:
    """Cells of one system with the same parameters, one per seed."""

    cells: tuple[CellRecord, ...]

    @property
    def first(self) -> CellResult:
        """Result of the smallest seed; names and settings are the same for all seeds."""
        return self.cells[0].result

    @property
    def name(self) -> str:
        """Name of the system."""
        return self.first.system

    @property
    def label(self) -> str:
        """Title in tables, parameters included."""
        parts = [f"{'λ' if name == 'lambda' else name} = {value}" for name, value in sorted(self.parameters.items())]
        return ", ".join([self.first.title, *parts])

    @property
    def parameters(self) -> dict[str, float | int | str | bool | None]:
        """Parameters beyond system and seed."""
        return self.first.parameters

    @property
    def seeds(self) -> tuple[int, ...]:
        """Seeds, ascending."""
        return tuple(cell.result.seed for cell in self.cells)

    def measure(self, part: str, key: str) -> Summary | None:
        """Summary over seeds of a figure in a part of the results (``test``, ``cost``), or None."""
        parts = [getattr(cell.result, part) for cell in self.cells]
        values = [values[key] for values in parts if values and key in values]
        # Older results lack some rankings: a mean over the other seeds would not be the system's.
        if "@" in key and len(values) < len(parts):
            return None
        return summarise(values) if values else None

    def record(self, part: str, key: str, name: str | None = None) -> Record:
        """:meth:`measure` as entries ``name`` (by default the key) and ``name_sd`` of a record."""
        measure, name = self.measure(part, key), name or key
        return {name: measure.mean if measure else None, f"{name}_sd": measure.sd if measure else None}

    def gains(self, metric: str, protocol: str) -> dict[int, NDArray[np.float64]]:
        """Each user's contribution to a metric, ``[users]``, for each seed with ranks."""
        return {cell.result.seed: cell.gains(metric, protocol, TOP) for cell in self.cells if protocol in cell.ranks}

    def user_error(self, metric: str, protocol: str) -> float | None:
        """Standard error over test users of a metric's mean over seeds."""
        gains = list(self.gains(metric, protocol).values())
        return standard_error(np.stack(gains)) if gains else None


@dataclass(frozen=True)
class Section:
    """All cells on one dataset, from one or several studies."""

    dataset: DatasetIdentity
    studies: tuple[StudyRecord, ...]
    cells: tuple[CellRecord, ...]

    @cached_property
    def all_systems(self) -> tuple[SystemCells, ...]:
        """All systems, including those of sweeps, in the registry's order, swept values ascending."""
        groups: dict[object, list[CellRecord]] = {}
        for cell in self.cells:
            groups.setdefault(cell.key[:2], []).append(cell)
        systems = [SystemCells(tuple(sorted(cells, key=lambda cell: cell.result.seed))) for cells in groups.values()]
        return tuple(sorted(systems, key=_order))

    @cached_property
    def systems(self) -> tuple[SystemCells, ...]:
        """Systems without those of sweeps."""
        return tuple(system for system in self.all_systems if not system.parameters)

    def system(self, name: str) -> SystemCells | None:
        """System with a given name, or None."""
        return next((system for system in self.systems if system.name == name), None)

    @cached_property
    def ranking(self) -> str:
        """Ranking that compares the systems, ``full`` or ``unseen``: the one that selected their epochs.

        It is ``full`` where cells were selected by different rankings, lack figures of ``unseen``, or do not say
        which ranking suits the dataset.
        """
        rankings = {_ranking(cell.result) for cell in self.cells}
        known = all(f"ndcg@10_{UNSEEN}" in cell.result.test for cell in self.cells)
        return UNSEEN if rankings == {UNSEEN} and known else "full"

    @property
    def unfinished(self) -> tuple[str, ...]:
        """Paths of cells that no study has completed."""
        complete = {cell.folder.relative_to(cell.folder.parent.parent).as_posix() for cell in self.cells}
        return tuple(sorted({path for study in self.studies for path in study.unfinished} - complete))

    def identity(self, system: SystemCells) -> Record:
        """First entries of a system's record: dataset, names, group and number of seeds."""
        return {
            "dataset": self.dataset.title,
            "system": system.name,
            "title": system.label,
            "group": system.first.group,
            "seeds": len(system.cells),
        }

    def efficiency(self, system: SystemCells) -> list[EfficiencyRow]:
        """Efficiency measurements of a system."""
        rows = [row for study in self.studies if study.efficiency for row in study.efficiency.rows]
        return [row for row in rows if row.system == system.name and row.parameters == system.parameters]


def _ranking(result: CellResult) -> str:
    """Ranking by which a cell's epoch was selected."""
    selected = str(result.settings.get("select_by", EARLIER_DEFAULTS["select_by"]))
    return protocol_of(selected) if selected in COMPARABLE else result.dataset.suited_ranking or "full"


def _order(system: SystemCells) -> tuple[object, ...]:
    names, groups = list(SYSTEMS), [str(group) for group in GROUPS]
    group = groups.index(system.first.group) if system.first.group in groups else len(groups)
    place = names.index(system.name) if system.name in SYSTEMS else len(names)
    values = [
        (name, 0.0 if isinstance(value, str) or value is None else float(value), str(value))
        for name, value in sorted(system.parameters.items())
    ]
    return group, place, system.name, values


def merge_studies(studies: Sequence[StudyRecord]) -> list[Section]:
    """Merge studies into one section per dataset, in the order of the studies.

    Raises
    ------
    UserError
        Two studies have the same cell with different settings, or cells were evaluated on different users.
    """
    sections = []
    for fingerprint in dict.fromkeys(study.document.dataset.fingerprint for study in studies):
        members = tuple(study for study in studies if study.document.dataset.fingerprint == fingerprint)
        cells: dict[object, tuple[CellRecord, Path]] = {}
        for study in members:
            for cell in study.cells:
                earlier, origin = cells.get(cell.key, (cell, study.path))
                if earlier.result.settings != cell.result.settings:
                    raise UserError(
                        f"{origin} and {study.path} both have {cell.result.system} with seed {cell.result.seed}, with "
                        "different settings: report them separately"
                    )
                cells[cell.key] = (max(earlier, cell, key=lambda candidate: candidate.result.written), study.path)
        section = Section(members[0].document.dataset, members, tuple(cell for cell, _ in cells.values()))
        _check_users(section)
        sections.append(section)
    return sections


def _check_users(section: Section) -> None:
    """Refuse cells with different numbers of users, since users are compared in pairs."""
    numbers = {len(ranks) for cell in section.cells for ranks in cell.ranks.values()}
    if len(numbers) > 1:
        raise UserError(
            f"cells on {section.dataset.title} have ranks of {sorted(numbers)} users: they cannot be compared"
        )
    users = [cell.users for cell in section.cells if cell.users is not None]
    if any(not np.array_equal(each, users[0]) for each in users):
        raise UserError(f"cells on {section.dataset.title} have targets of other users: they cannot be compared")
