"""Puts studies together: one section for each dataset, its cells grouped into systems."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from easrec_nni.architecture.schema import DatasetIdentity
from easrec_nni.common.errors import UserError
from easrec_nni.evaluation.metrics import standard_error
from easrec_nni.report.content import Record
from easrec_nni.report.reading import CellRecord, StudyRecord
from easrec_nni.report.significance import Summary, summarise
from easrec_nni.study.documents import CellResult, EfficiencyRow
from easrec_nni.study.systems import GROUPS, SYSTEMS

__all__ = ["Section", "SystemCells", "merge_studies"]

TOP = 10


@dataclass(frozen=True, eq=False)  # itself and no other: comparisons of large arrays are remembered by it
class SystemCells:
    """All seeds of one system with the same further parameters."""

    cells: tuple[CellRecord, ...]

    @property
    def first(self) -> CellResult:
        """Result of the smallest seed: names and settings are the same for all."""
        return self.cells[0].result

    @property
    def name(self) -> str:
        """Name of the system."""
        return self.first.system

    @property
    def label(self) -> str:
        """What a table calls it, parameters included."""
        parts = [f"{'λ' if name == 'lambda' else name} = {value}" for name, value in sorted(self.parameters.items())]
        return ", ".join([self.first.title, *parts])

    @property
    def parameters(self) -> dict[str, float | int | str | bool | None]:
        """What it has beyond system and seed."""
        return self.first.parameters

    @property
    def seeds(self) -> tuple[int, ...]:
        """Seeds, ascending."""
        return tuple(cell.result.seed for cell in self.cells)

    def measure(self, part: str, key: str) -> Summary | None:
        """A figure of a part of the results (``test``, ``cost``, ``choices``) over seeds; None if it is not known."""
        parts = [getattr(cell.result, part) for cell in self.cells]
        values = [values[key] for values in parts if values and key in values]
        # Rankings that some seeds lack, as they were made earlier: a mean over the others is not the system's.
        if "@" in key and len(values) < len(parts):
            return None
        return summarise(values) if values else None

    def record(self, part: str, key: str, name: str | None = None) -> Record:
        """The same as entries of a record: ``name`` (the key by default) and ``name_sd``, None if it is not known."""
        measure, name = self.measure(part, key), name or key
        return {name: measure.mean if measure else None, f"{name}_sd": measure.sd if measure else None}

    def gains(self, metric: str, protocol: str) -> dict[int, NDArray[np.float64]]:
        """Of each seed whose ranks are known, what each user adds to a metric."""
        return {cell.result.seed: cell.gains(metric, protocol, TOP) for cell in self.cells if protocol in cell.ranks}

    def user_error(self, metric: str, protocol: str) -> float | None:
        """Standard error over test users of the metric's mean over seeds."""
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
        """Cells by system and parameters, in the registry's order, swept values ascending."""
        groups: dict[object, list[CellRecord]] = {}
        for cell in self.cells:
            groups.setdefault(cell.key[:2], []).append(cell)
        systems = [SystemCells(tuple(sorted(cells, key=lambda cell: cell.result.seed))) for cells in groups.values()]
        return tuple(sorted(systems, key=_order))

    @cached_property
    def systems(self) -> tuple[SystemCells, ...]:
        """Systems as they are, without those of a sweep."""
        return tuple(system for system in self.all_systems if not system.parameters)

    def system(self, name: str) -> SystemCells | None:
        """A system by its name."""
        return next((system for system in self.systems if system.name == name), None)

    @property
    def unfinished(self) -> tuple[str, ...]:
        """Paths of cells that no study has completed."""
        complete = {cell.folder.relative_to(cell.folder.parent.parent).as_posix() for cell in self.cells}
        return tuple(sorted({path for study in self.studies for path in study.unfinished} - complete))

    def identity(self, system: SystemCells) -> Record:
        """What a record of a system begins with: its dataset, names, group and number of seeds."""
        return {
            "dataset": self.dataset.title,
            "system": system.name,
            "title": system.label,
            "group": system.first.group,
            "seeds": len(system.cells),
        }

    def efficiency(self, system: SystemCells) -> list[EfficiencyRow]:
        """What was measured of a system."""
        rows = [row for study in self.studies if study.efficiency for row in study.efficiency.rows]
        return [row for row in rows if row.system == system.name and row.parameters == system.parameters]


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
    """One section for each dataset, in the order of the studies.

    Raises
    ------
    UserError
        Two studies have the same cell with different settings, or cells were evaluated on different users.
    """
    sections = []
    for fingerprint in dict.fromkeys(study.document.dataset.fingerprint for study in studies):
        chosen = tuple(study for study in studies if study.document.dataset.fingerprint == fingerprint)
        cells: dict[object, tuple[CellRecord, Path]] = {}
        for study in chosen:
            for cell in study.cells:
                known, origin = cells.get(cell.key, (cell, study.path))
                if known.result.settings != cell.result.settings:
                    raise UserError(
                        f"{origin} and {study.path} both have {cell.result.system} with seed {cell.result.seed}, with "
                        "different settings: report them one by one"
                    )
                cells[cell.key] = (max(known, cell, key=lambda each: each.result.written), study.path)
        section = Section(chosen[0].document.dataset, chosen, tuple(cell for cell, _ in cells.values()))
        _check_users(section)
        sections.append(section)
    return sections


def _check_users(section: Section) -> None:
    """Users are compared one by one: all cells must have evaluated the same targets of them."""
    numbers = {len(ranks) for cell in section.cells for ranks in cell.ranks.values()}
    if len(numbers) > 1:
        raise UserError(
            f"cells on {section.dataset.title} have ranks of {sorted(numbers)} users: they do not belong together"
        )
    users = [cell.users for cell in section.cells if cell.users is not None]
    if any(not np.array_equal(each, users[0]) for each in users):
        raise UserError(f"cells on {section.dataset.title} have targets of other users: they do not belong together")
