"""Gowalla check-ins, as SNAP publishes them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from easrec_nni.common.errors import UserError
from easrec_nni.data.download import DownloadError, fetch
from easrec_nni.data.manifest import PrepareSettings
from easrec_nni.data.reporting import Reporter
from easrec_nni.data.sources.base import RawLog, find_file
from easrec_nni.data.sources.columns import Columns
from easrec_nni.data.sources.delimited import DelimitedTable, TextFile

_FILE = "loc-gowalla_totalCheckins.txt.gz"
_URL = f"https://snap.stanford.edu/data/{_FILE}"


@dataclass(frozen=True)
class GowallaSource:
    """Gowalla check-ins: a source without ratings and features.

    Lines have user, ISO 8601 time, latitude, longitude and location, separated by tabs, newest first. Within a
    user, equal times keep the order of the file, as in every dataset.
    """

    name: str = "gowalla"
    summary: str = "Gowalla check-ins (SNAP)"

    def locate(self, path: Path | None, reporter: Reporter) -> tuple[Path, ...]:
        """Find or download the file of check-ins."""
        if path is not None:
            return (find_file(path, (_FILE, _FILE.removesuffix(".gz")), _FILE),)
        try:
            return (fetch(_URL, _FILE, None, reporter),)
        except DownloadError as error:
            raise UserError(
                f"cannot download gowalla ({error}): get {_URL} on another machine and pass it with --path"
            ) from error

    def read(self, files: Sequence[Path], settings: PrepareSettings, reporter: Reporter) -> RawLog:
        """Read the check-ins."""
        if settings.min_rating is not None:
            raise UserError("gowalla has no ratings: leave out --min-rating")
        names = ("user", "check-in time", "latitude", "longitude", "location id")
        table = DelimitedTable((TextFile.at(files[0]),), names, "\t", header=False, quote="")
        return RawLog(table, Columns.of_format(user=0, item=4, time=1))
