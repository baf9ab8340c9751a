"""Local tables: delimited text, JSON, Parquet and Arrow, in one file or in parts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from easrec_nni.common.errors import UserError
from easrec_nni.data.manifest import PrepareSettings
from easrec_nni.data.reporting import Reporter
from easrec_nni.data.sources.base import RawLog
from easrec_nni.data.sources.columnar import ColumnarTable
from easrec_nni.data.sources.columns import choose_columns, looks_like_data
from easrec_nni.data.sources.delimited import (
    PACKED,
    DelimitedTable,
    TextFile,
    check_delimiter,
    check_quote,
    read_beginning,
    read_header,
    split_header,
    text_encoding,
)
from easrec_nni.data.sources.jsonlines import JsonTable
from easrec_nni.data.sources.nested import lists_to_open, note_on_lists, short_names
from easrec_nni.data.sources.sequences import SequenceTable

_PARQUET, _ARROW, _JSON = (".parquet", ".pq"), (".arrow", ".feather", ".ipc"), (".json", ".jsonl", ".ndjson")
SUFFIXES = (*PACKED, *_PARQUET, *_ARROW, *_JSON, ".inter", ".csv", ".tsv", ".txt")
_DELIMITERS = ",\t;|\x01"


@dataclass(frozen=True)
class TableSource:
    """Local table; each row is an interaction, in any order."""

    name: str = "table"
    summary: str = "named columns (.csv, .tsv, .txt, .jsonl, each also .gz, .bz2, .zst; .parquet, .feather), or parts"

    def locate(self, path: Path | None, reporter: Reporter) -> tuple[Path, ...]:
        """Check that the file exists, or list a folder without the files that Spark and Hive hide."""
        if path is None:
            raise UserError("tables are local: give the path of a file")
        if path.is_dir():
            parts = [file for file in sorted(path.rglob("*")) if file.is_file() and not _is_hidden(file, path)]
            kinds = {_suffix(file) for file in parts}
            if not parts or len(kinds) > 1:
                raise UserError(
                    f"{path} is a folder without an .inter file"
                    + (f" and has files of several kinds ({', '.join(sorted(kinds))})" if parts else "")
                    + ": give a folder of atomic files or of the parts of one table, or a file"
                )
            reporter.note(f"{path.name} is a folder: its {len(parts)} files are read as parts of one table")
            folders = {folder.name for file in parts for folder in file.relative_to(path).parents}
            columns = sorted({name.partition("=")[0] for name in folders if "=" in name})
            if columns:
                reporter.note(f"partition columns in the names of folders are not read: {', '.join(columns)}")
            return tuple(parts)
        if not path.is_file():
            raise UserError(f"no file {path}: check the path")
        if path.suffix in (".zip", ".whl"):
            raise UserError(
                f"{path.name} is an archive: unpack it, or name its dataset (such as ml-1m --path {path.name})"
            )
        return (path,)

    def read(self, files: Sequence[Path], settings: PrepareSettings, reporter: Reporter) -> RawLog:
        """Detect the kind of the files, and the columns of users, items, times and ratings."""
        suffix = _suffix(files[0])
        if suffix in (*_PARQUET, *_ARROW):
            return _nested_log(ColumnarTable.at(files, suffix in _ARROW), settings)
        texts = tuple(TextFile.at(file) for file in files)
        encoding = text_encoding(texts[0], settings.encoding)
        beginning = read_beginning(texts[0], encoding).lstrip("\ufeff \t\r\n")
        if suffix in _JSON or beginning.startswith(("{", "[{")):
            return _nested_log(JsonTable.at(texts, encoding), settings)
        table = text_table(texts, settings)
        return RawLog(table, choose_columns(table.names, settings, table.label))


def _nested_log(table: JsonTable | ColumnarTable, settings: PrepareSettings) -> RawLog:
    """Log of a table that may have objects and lists."""
    columns = choose_columns(table.names, settings, table.label, short_names(table.columns))
    lists = lists_to_open(table.columns, columns.places, settings)
    if not lists:
        return RawLog(table, columns)
    return RawLog(replace(table, lists=lists), replace(columns, notes=(note_on_lists(lists), *columns.notes)))


def text_table(texts: Sequence[TextFile], settings: PrepareSettings) -> DelimitedTable | SequenceTable:
    """Detect the columns of delimited texts, or that each line has all items of a user.

    Parameters
    ----------
    texts : sequence of TextFile
        Texts of the same columns.
    settings : PrepareSettings
        Settings, of which ``delimiter``, ``encoding``, ``header``, ``quote``, ``layout`` and
        ``order_is_time`` are used.

    Returns
    -------
    DelimitedTable or SequenceTable
        The table, not read yet.

    Raises
    ------
    UserError
        If the text is empty, or a text has another header than the first.
    """
    encoding = text_encoding(texts[0], settings.encoding)
    quote = check_quote(settings.quote)
    first = read_header(texts[0], encoding)
    delimiter = _delimiter(first, settings, quote)
    names = split_header(first, delimiter, quote=quote != "")
    header = settings.header is not False
    if settings.order_is_time and settings.layout != "rows":
        varying = len(_widths(texts[0], encoding, delimiter)) > 2
        if settings.layout == "sequences" or (varying and settings.header is None and looks_like_data(names)):
            return SequenceTable(tuple(texts), delimiter, encoding)
    if settings.order_is_time and settings.header is None and looks_like_data(names) and len(names) == 2:
        header = False
    if not header:
        names = [str(number) for number in range(1, len(names) + 1)]
        if names == ["1", "2"] and settings.order_is_time:
            names = ["user", "item"] if (settings.user_column, settings.item_column) == (None, None) else names
    elif settings.header is None and looks_like_data(names):
        raise _missing_header(texts[0], names, encoding, delimiter, settings)
    for text in texts[1:]:
        if header and split_header(read_header(text, encoding), delimiter, quote=quote != "") != names:
            raise UserError(f"{text.label} has another header than {texts[0].label}: give files of the same columns")
    return DelimitedTable(tuple(texts), tuple(names), delimiter, encoding, header, quote)


def _widths(text: TextFile, encoding: str, delimiter: str) -> set[int]:
    """Numbers of values in the first lines."""
    return {len(line.split(delimiter)) for line in read_beginning(text, encoding).splitlines()[:-1]}


def _missing_header(
    text: TextFile, values: Sequence[str], encoding: str, delimiter: str, settings: PrepareSettings
) -> UserError:
    """Error of a first line that looks like data, with the options for what such a line may be."""
    fixes = [
        "--no-header and name the columns by number, such as --user-column 1 --item-column 2 --time-column 4",
        "--header if these are names",
    ]
    if settings.order_is_time:
        fixes.append("--layout sequences if a line is a user and all its items")
    else:
        # Files of SASRec and S3-Rec have no times; their spaces are no delimiter unless the option says so.
        widths = _widths(text, encoding, " " if len(values) == 1 else delimiter)
        if widths == {2} or len(widths) > 2:
            line = "a user and an item" if widths == {2} else "a user and all its items"
            fixes.insert(0, f"--order-is-time if a line is {line}, in the order of time")
    listing = ", ".join(f"{place}: {value!r}" for place, value in enumerate(values[:30], start=1))
    return UserError(
        f"{text.label}: the first line looks like data, so the header is missing ({listing}): pass "
        + "; or ".join(fixes)
    )


def _delimiter(line: str, settings: PrepareSettings, quote: str | None) -> str:
    """Delimiter by the settings, or the one that gives the first line most columns.

    Blanks separate columns only where nothing else does: texts and dates have them too.
    """
    if settings.delimiter is not None:
        return check_delimiter(settings.delimiter)
    columns = {candidate: len(split_header(line, candidate, quote=quote != "")) for candidate in (*_DELIMITERS, "::")}
    if max(columns.values()) == 1 and (settings.order_is_time or settings.header is False):
        return " "
    return max(columns, key=columns.__getitem__)


def read_table(text: TextFile, settings: PrepareSettings) -> RawLog:
    """Read a delimited text as a log.

    Parameters
    ----------
    text : TextFile
        Text of the table.
    settings : PrepareSettings
        Settings, as for `text_table` and `choose_columns`.

    Returns
    -------
    RawLog
        The interactions.

    Raises
    ------
    UserError
        If a column is not found, with the columns that are there.
    """
    table = text_table((text,), settings)
    return RawLog(table, choose_columns(table.names, settings, text.label))


def _suffix(path: Path) -> str:
    """Suffix of a file's name, in lower case, without that of the compression."""
    return Path(path.stem if path.suffix in PACKED else path.name).suffix.lower()


def _is_hidden(path: Path, folder: Path) -> bool:
    return any(part.startswith(("_", ".")) for part in path.relative_to(folder).parts)
