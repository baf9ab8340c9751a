"""Interface of the sources of interactions, and the logs they return."""

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
        """Name of the table in messages."""

    @property
    def names(self) -> Sequence[str]:
        """Names of the columns."""

    @property
    def row_number(self) -> str | None:
        """SQL of a row's number from 0, where the relation has one; None otherwise.

        A relation with row numbers can be read as often as needed.
        """

    def relation(self, engine: Engine) -> str:
        """SQL of the rows, in the order of the file.

        Columns are ``c0``, ``c1``, ... in the order of `names`.

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
        """Names of the frame's columns."""
        return list(map(str, self.frame.columns))

    def relation(self, engine: Engine) -> str:
        """Register the frame, and return its name in the engine."""
        engine.register("frame", self.frame.set_axis([f"c{place}" for place in range(len(self.names))], axis=1))
        return "frame"


@dataclass(frozen=True)
class RawLog:
    """Interactions of a source, not read yet.

    Attributes
    ----------
    table : Table
        The interactions, in the order of the file.
    columns : Columns
        Column of each role; without a time, the order of the rows is the time.
    features : dict of str to DataFrame
        For each item feature, its columns ``item`` and ``value`` (strings): a row for every value of an item.
    notes : tuple of str
        Notes for the user: parts of the files that are not used, and decisions made.
    """

    table: Table
    columns: Columns
    features: dict[str, pd.DataFrame] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


class Source(Protocol):
    """A dataset by name, or a kind of local file."""

    @property
    def name(self) -> str:
        """Name that the user types; for kinds of local files, the name in the manifest."""

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
        """Determine how to read the files from `locate`, and read the item features.

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
