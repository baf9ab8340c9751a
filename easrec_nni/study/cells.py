"""Cells of a table: names, folders, settings and results.

:mod:`easrec_nni.study.cell` runs them. A report imports only this module, and thus neither torch nor NNI.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from easrec_nni.common.documents import read_document
from easrec_nni.common.errors import UserError
from easrec_nni.settings.trial import TrialSettings
from easrec_nni.study.documents import RESULT_FILE, CellResult
from easrec_nni.study.systems import SYSTEMS, find_systems

__all__ = ["Cell", "cell_settings", "complete_result", "lacks_refit", "read_result"]

LONGEST_NAME = 255  # maximum length of a folder's name in bytes


@dataclass(frozen=True)
class Cell:
    """A system with a seed and, in a sweep, further settings.

    Examples
    --------
    >>> Cell("easrec", 3, {"lambda": 0.5}).path.as_posix()
    'easrec--lambda=0.5/seed3'
    >>> Cell("easrec", 3, {"lambda": 1.0}).path.as_posix()
    'easrec--lambda=1/seed3'
    """

    system: str
    seed: int
    parameters: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        # NNI's manager writes 1.0 as 1, being JavaScript: both must be the same cell.
        object.__setattr__(self, "parameters", {name: _plain(value) for name, value in self.parameters.items()})

    @property
    def path(self) -> Path:
        """Folder of the cell below the study's ``cells``.

        Raises
        ------
        UserError
            A parameter contains a slash, or the name is too long for a folder.
        """
        name = "--".join([self.system, *(f"{name}={value}" for name, value in sorted(self.parameters.items()))])
        if "/" in name or not name.isprintable() or len(name.encode()) > LONGEST_NAME:
            raise UserError(f"the parameters of the cell {name[:100]!r} cannot be the name of a folder: change them")
        return Path(name) / f"seed{self.seed}"

    @classmethod
    def sampled(cls, parameters: Mapping[str, Any]) -> Cell:
        """Cell of a sample that NNI's tuner drew: ``system``, ``seed`` and further dotted settings.

        Raises
        ------
        UserError
            ``system`` or ``seed`` is missing or unknown.
        """
        rest = dict(parameters)
        try:
            system, seed = str(rest.pop("system")), int(rest.pop("seed"))
        except (KeyError, TypeError, ValueError):
            raise UserError(f"a cell has a system and a seed; got {dict(parameters)}") from None
        find_systems([system])
        return cls(system, seed, rest)


def _plain(value: Any) -> Any:
    """Convert an integral float to int."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def cell_settings(cell: Cell, base: TrialSettings) -> TrialSettings:
    """Settings of a cell: the study's, the system's changes, the cell's parameters and seed."""
    return SYSTEMS[cell.system].settings(base, {**cell.parameters, "seed": cell.seed})


def read_result(folder: Path) -> CellResult | None:
    """Result of a cell, or None while it is not complete."""
    try:
        return read_document(folder / RESULT_FILE, CellResult, "run the cell again")
    except UserError:
        return None


def lacks_refit(result: CellResult, settings: TrialSettings) -> bool:
    """Whether a cell is still to be refitted: asked for, and not done.

    A baseline is not trained, and a training that improved on no initial network gives no number of epochs: neither can
    be refitted.
    """
    return settings.retrain.refit and not result.test_refitted and result.training.get("best_epoch", -1) >= 0


def complete_result(folder: Path, settings: TrialSettings) -> CellResult | None:
    """Result of a cell, or None while it is not complete or not refitted as the settings say."""
    result = read_result(folder)
    return None if result is None or lacks_refit(result, settings) else result
