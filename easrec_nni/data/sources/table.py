"""Any table with named columns: CSV, TSV and other delimited text, plain or gzipped, and Parquet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pyarrow import parquet

from easrec_nni.common.errors import UserError
from easrec_nni.data.engine import Engine, identifier, quoted
from easrec_nni.data.manifest import PrepareSettings
from easrec_nni.data.reporting import Reporter
from easrec_nni.data.sources.base import RawLog
from easrec_nni.data.sources.delimited import (
    DelimitedTable,
    TextFile,
    check_delimiter,
    check_quote,
    read_header,
    readable,
    split_header,
    text_encoding,
)

_GUESSES = {
    "user": "user_id userid user uid username user_name reviewerid reviewer_id customer_id customerid "
    "visitorid visitor_id account_id session_id sessionid",
    "item": "item_id itemid item iid movie_id movieid product_id productid asin parent_asin article_id "
    "articleid book_id business_id song_id track_id location_id locationid poi_id venue_id",
    "time": "timestamp time datetime date ts unixreviewtime unix_timestamp event_time created_at t_dat",
    "rating": "rating ratings stars star score overall",
}
_PARQUET = (".parquet", ".pq")
_DELIMITERS = ",\t;|"


@dataclass(frozen=True)
class TableSource:
    """A local table; each row is an interaction, in any order."""

    name: str = "table"
    summary: str = "file of named columns (.csv, .tsv, .txt, each also .gz; .parquet)"

    def locate(self, path: Path | None, reporter: Reporter) -> tuple[Path, ...]:
        """Check that the file is there."""
        if path is None:
            raise UserError("tables are local: give the path of a file")
        if path.is_dir():
            raise UserError(f"{path} is a folder without an .inter file: give a folder of atomic files, or a table")
        if not path.is_file():
            raise UserError(f"no file {path}: check the path")
        if path.suffix in (".zip", ".whl"):
            raise UserError(
                f"{path.name} is an archive: unpack it, or name its dataset (such as ml-1m --path {path.name})"
            )
        return (path,)

    def read(self, files: Sequence[Path], settings: PrepareSettings, reporter: Reporter) -> RawLog:
        """Read the columns of users, items and times, and ratings where they are needed."""
        if files[0].suffix in _PARQUET:
            table = ParquetTable.at(files[0])
            return RawLog(table, choose_columns(table.names, settings, table.label))
        return read_table(TextFile.at(files[0]), settings)


def read_table(text: TextFile, settings: PrepareSettings) -> RawLog:
    """Read a delimited text with a header.

    Parameters
    ----------
    text : TextFile
        The table.
    settings : PrepareSettings
        Of which the columns' names, ``min_rating``, ``encoding`` and ``delimiter`` are used.

    Returns
    -------
    RawLog
        The interactions.

    Raises
    ------
    UserError
        If a column is not found, with the columns that are there, and as for `clean_log`.
    """
    encoding = text_encoding(text, settings.encoding)
    header = read_header(text, encoding)
    if settings.delimiter is not None:
        delimiter = check_delimiter(settings.delimiter)
    else:
        delimiter = max(_DELIMITERS, key=lambda each: len(split_header(header, each, quote=True)))
    names = split_header(header, delimiter, quote=settings.quote is None)
    table = DelimitedTable((text,), tuple(names), delimiter, encoding, quote=check_quote(settings.quote))
    return RawLog(table, choose_columns(names, settings, text.label))


def choose_columns(names: Sequence[str], settings: PrepareSettings, label: str) -> dict[str, int]:
    """Find the columns of users, items, times and, where they are needed, ratings.

    Parameters
    ----------
    names : sequence of str
        Columns of the table.
    settings : PrepareSettings
        Names that the user gave; for the others, common names are tried, in upper or lower case.
    label : str
        What errors call the table.

    Returns
    -------
    dict of str to int
        For "user", "item", "time" (and "rating"): the place of the column.

    Raises
    ------
    UserError
        If a column is not there; the message lists those that are.
    """
    given = {
        "user": settings.user_column,
        "item": settings.item_column,
        "time": settings.time_column,
        "rating": settings.rating_column,
    }
    listing = ", ".join(repr(name) for name in names[:30]) + (", ..." if len(names) > 30 else "")
    lowered = [name.lower() for name in names]
    places: dict[str, int] = {}
    for role, chosen in given.items():
        if role == "rating" and settings.min_rating is None:
            continue
        if chosen is not None:
            if chosen not in names:
                raise UserError(f"{label} has no column {chosen!r} (--{role}-column): its columns are {listing}")
            places[role] = names.index(chosen)
            continue
        found = [guess for guess in _GUESSES[role].split() if guess in lowered]
        if not found:
            raise UserError(f"{label}: which column is the {role}? Name it with --{role}-column, there are {listing}")
        places[role] = lowered.index(found[0])
    return places


@dataclass(frozen=True)
class ParquetTable:
    """A Parquet file."""

    path: Path
    names: tuple[str, ...]

    @classmethod
    def at(cls, path: Path) -> ParquetTable:
        """The table in a file, of which the columns' names are read."""
        with readable(path.name):
            return cls(path, tuple(parquet.read_schema(path).names))

    @property
    def label(self) -> str:
        """Name of the file."""
        return self.path.name

    def relation(self, engine: Engine) -> str:
        """SQL that reads the file."""
        columns = ", ".join(f"{identifier(name)} AS c{place}" for place, name in enumerate(self.names))
        return f"(SELECT {columns} FROM read_parquet({quoted(str(self.path))}))"
