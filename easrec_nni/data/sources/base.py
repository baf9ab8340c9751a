"""What every source of interactions gives to the preparation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import pandas as pd

from easrec_nni.common.errors import UserError
from easrec_nni.data.manifest import PrepareSettings
from easrec_nni.data.reporting import Reporter


@dataclass(frozen=True)
class RawLog:
    """Interactions as they were read, in the order of the file.

    Attributes
    ----------
    interactions : DataFrame
        Columns ``user`` and ``item`` (strings, never missing), ``time`` (int64 or float64, finite) and,
        if the settings ask for a lowest rating, ``rating`` (float64, finite).
    features : dict of str to DataFrame
        For each item feature, its columns ``item`` and ``value`` (strings): a row for every value of an item.
    dropped : dict of str to int
        Rows that the reading left out, by reason.
    notes : tuple of str
        What else of the files is not used, for the user to read.
    """

    interactions: pd.DataFrame
    features: dict[str, pd.DataFrame] = field(default_factory=dict)
    dropped: dict[str, int] = field(default_factory=dict)
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
        """Read the files that `locate` found.

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
