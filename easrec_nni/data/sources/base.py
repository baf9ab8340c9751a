"""What every source of interactions gives to the preparation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import pandas as pd

from easrec_nni.common.errors import UserError
from easrec_nni.data.engine import Engine
from easrec_nni.data.manifest import PrepareSettings
from easrec_nni.data.reporting import Reporter
from easrec_nni.data.sources.columns import Columns


class Table(Protocol):
    """A table that the engine can read."""

    @property
    def label(self) -> str:
        """What errors call it."""

    @property
    def names(self) -> Sequence[str]:
        """Its columns."""

    @property
    def row_number(self) -> str | None:
        """SQL of a row's number from 0, where the relation has it and can be read as often as needed; or None."""

    def relation(self, engine: Engine) -> str:
        """SQL of its rows, in the order of the file, with columns ``c0``, ``c1``, ... in the order of `names`.

        Raises
        ------
        UserError
            If the files are not what they should be.
        """


@dataclass(frozen=True)
class FrameTable:
    """A table in memory."""

    label: str
    frame: pd.DataFrame
    row_number = None

    @property
    def names(self) -> Sequence[str]:
        """Columns of the frame."""
        return list(map(str, self.frame.columns))

    def relation(self, engine: Engine) -> str:
        """Name under which the engine knows the frame."""
        engine.register("frame", self.frame.set_axis([f"c{place}" for place in range(len(self.names))], axis=1))
        return "frame"


@dataclass(frozen=True)
class RawLog:
    """Interactions as their source has them, not read yet.

    Attributes
    ----------
    table : Table
        The interactions, in the order of the file.
    columns : Columns
        Which column is what; without a time, the order of the rows is the time.
    features : dict of str to DataFrame
        For each item feature, its columns ``item`` and ``value`` (strings): a row for every value of an item.
    notes : tuple of str
        What of the files is not used, or was decided, for the user to read.
    """

    table: Table
    columns: Columns
    features: dict[str, pd.DataFrame] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


class Source(Protocol):
    """A dataset by name, or a kind of local file."""

    @property
    def name(self) -> str:
        """What the user types (or, for kinds of local files, what the manifest says)."""

    @property
    def summary(self) -> str:
        """A line for the help text."""

    def locate(self, path: Path | None, reporter: Reporter) -> tuple[Path, ...]:
        """Find the files to read, downloading them where `path` is None.

        Raises
        ------
        UserError
            If they can be neither found nor downloaded; the message says what to do.
        """

    def read(self, files: Sequence[Path], settings: PrepareSettings, reporter: Reporter) -> RawLog:
        """Say how to read the files that `locate` found: their columns are looked at, and item features read.

        Raises
        ------
        UserError
            If they are not what they should be.
        """


def find_file(path: Path, names: Sequence[str], what: str) -> Path:
    """Return `path` if it is a file, or the first of `names` in it if it is a folder.

    Raises
    ------
    UserError
        If there is no such file.
    """
    if path.is_file():
        return path
    if not path.is_dir():
        raise UserError(f"no file or folder {path}: check the path of {what}")
    for name in names:
        if (path / name).is_file():
            return path / name
    raise UserError(f"{path} has no {' or '.join(names)}: --path must be {what} or the folder it lies in")
