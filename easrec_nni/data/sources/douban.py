"""Douban movie short comments, as published on Kaggle (``DMSC.csv``)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from easrec_nni.common.errors import UserError
from easrec_nni.data.manifest import PrepareSettings
from easrec_nni.data.reporting import Reporter
from easrec_nni.data.sources.base import RawLog, find_file
from easrec_nni.data.sources.delimited import TextFile
from easrec_nni.data.sources.table import read_table

_FILE = "DMSC.csv"
_COLUMNS = {
    "user_column": "Username",
    "item_column": "Movie_Name_EN",
    "time_column": "Date",
    "rating_column": "Star",
}


@dataclass(frozen=True)
class DoubanSource:
    """Comments on 28 movies: Username, Movie_Name_EN, Date (a day) and Star (1 to 5).

    Times are days, so comments of one user on one day keep the order of the file.
    """

    name: str = "douban"
    summary: str = "Douban movie short comments (Kaggle; needs --path DMSC.csv)"

    def locate(self, path: Path | None, reporter: Reporter) -> tuple[Path, ...]:
        """Find the local file; Kaggle asks for a login to download it."""
        if path is None:
            raise UserError(
                "douban cannot be downloaded, Kaggle asks for a login: get DMSC.csv of "
                "'Douban Movie Short Comments Dataset' there and pass it with --path"
            )
        return (find_file(path, (_FILE,), _FILE),)

    def read(self, files: Sequence[Path], settings: PrepareSettings, reporter: Reporter) -> RawLog:
        """Read the comments' users, movies, days and, where they are needed, stars."""
        reporter.step(f"reading {files[0].name}")
        columns = {role: getattr(settings, role) or column for role, column in _COLUMNS.items()}
        return read_table(TextFile.at(files[0]), settings.model_copy(update=columns))
