"""Amazon reviews in the form of SASRec's successors: a line of items for each user."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from easrec_nni.common.errors import UserError
from easrec_nni.data.manifest import PrepareSettings
from easrec_nni.data.reporting import Reporter
from easrec_nni.data.sources.base import RawLog, find_file
from easrec_nni.data.sources.columns import Columns
from easrec_nni.data.sources.delimited import TextFile
from easrec_nni.data.sources.sequences import SequenceTable


@dataclass(frozen=True)
class AmazonSource:
    """5-core reviews of one category, users and items as numbers; no times, ratings or features.

    Attributes
    ----------
    name, summary : str
        Name and help text, as for every source.
    file : str
        Name of the file, which may be compressed with gzip.
    """

    name: str
    summary: str
    file: str

    def locate(self, path: Path | None, reporter: Reporter) -> tuple[Path, ...]:
        """Find the local file; it has no lasting address to download it from."""
        if path is None:
            raise UserError(
                f"{self.name} is not downloaded: get {self.file} of S3-Rec's or CL4SRec's data and pass it with --path"
            )
        return (find_file(path, (self.file, f"{self.file}.gz"), self.file),)

    def read(self, files: Sequence[Path], settings: PrepareSettings, reporter: Reporter) -> RawLog:
        """Read the lines, in which the items of a user are in time order."""
        if settings.min_rating is not None:
            raise UserError(f"{self.name} has no ratings: leave out --min-rating")
        table = SequenceTable((TextFile.at(files[0]),), " ", "utf-8")
        return RawLog(table, Columns.of_format(user=0, item=1))


AMAZON = tuple(
    AmazonSource(f"amazon-{short}", f"Amazon reviews of {category} (needs --path {file})", file)
    for short, category, file in (
        ("beauty", "beauty products", "Beauty.txt"),
        ("toys", "toys and games", "Toys_and_Games.txt"),
        ("sports", "sports and outdoors", "Sports_and_Outdoors.txt"),
    )
)
