"""RecBole's atomic files: a folder with ``NAME.inter[.gz]`` and, beside it, ``NAME.item``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from easrec_nni.common.errors import UserError
from easrec_nni.data.engine import Engine
from easrec_nni.data.manifest import PrepareSettings, feature_name
from easrec_nni.data.reporting import Reporter
from easrec_nni.data.sources.base import RawLog
from easrec_nni.data.sources.columns import Columns
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

_SUFFIXES = (".inter", ".inter.gz")
_PARTS = ("train", "valid", "test")
_TYPES = ("token", "float", "token_seq", "float_seq")


def is_atomic(path: Path) -> bool:
    """Whether a path is an ``.inter`` file, or a folder that has one."""
    return path.name.endswith(_SUFFIXES) or (path.is_dir() and bool(_inter_files(path)))


@dataclass(frozen=True)
class AtomicSource:
    """Atomic files of RecBole, such as those of its dataset collection.

    The header names each column and its type, as in ``user_id:token``. The columns of ``user_id``,
    ``item_id``, ``timestamp`` and ``rating`` are read, unless the settings name others; of the items,
    all columns of type ``token`` and ``token_seq`` (values separated by spaces).
    """

    name: str = "atomic"
    summary: str = "folder or file of RecBole's atomic format (.inter, .inter.gz)"

    def locate(self, path: Path | None, reporter: Reporter) -> tuple[Path, ...]:
        """Find the files of interactions and, where there is one, the table of items."""
        if path is None:
            raise UserError("atomic files are local: give the path of their folder")
        parts = _inter_files(path) if path.is_dir() else [path]
        if not parts:
            raise UserError(f"{path} has no .inter or .inter.gz file: give a folder of RecBole's atomic files")
        if len(parts) > 1 and not _are_parts(parts):
            names = ", ".join(sorted(file.name for file in parts))
            raise UserError(f"{path} has several files of interactions ({names}): give the path of one of them")
        if not parts[0].is_file():
            raise UserError(f"no file {parts[0]}: check the path")
        if len(parts) > 1:
            names = ", ".join(file.name for file in parts)
            reporter.note(f"{names} are joined to one log, which is split anew")
        stem = _stem(parts[0])
        items = (parts[0].with_name(stem + suffix) for suffix in (".item", ".item.gz"))
        return (*parts, *[file for file in items if file.is_file()][:1])

    def read(self, files: Sequence[Path], settings: PrepareSettings, reporter: Reporter) -> RawLog:
        """Read interactions and item features."""
        texts = [TextFile.at(file) for file in files if is_atomic(file)]
        log = read_inter(texts, settings)
        if len(texts) == len(files):
            return log
        features, notes = read_items(TextFile.at(files[-1]), settings)
        return replace(log, features=features, notes=notes)


def read_inter(texts: Sequence[TextFile], settings: PrepareSettings) -> RawLog:
    """Read a table of interactions in the atomic format.

    Parameters
    ----------
    texts : sequence of TextFile
        Texts of the table, or of its parts.
    settings : PrepareSettings
        Settings, of which the columns' names, ``min_rating``, ``encoding`` and ``delimiter`` are used.

    Returns
    -------
    RawLog
        The interactions.

    Raises
    ------
    UserError
        If the header is not of that format or a column is missing, and as for `clean_log`.
    """
    fields = _fields(texts[0], settings)
    for text in texts[1:]:
        if _fields(text, settings) != fields:
            raise UserError(f"{text.label} has other columns than {texts[0].label}: give parts of one table")
    defaults = {"user": "user_id", "item": "item_id", "time": "timestamp", "rating": "rating"}
    if settings.order_is_time:
        del defaults["time"]
    if settings.min_rating is None:
        del defaults["rating"]
    history = f"{settings.item_column or defaults['item']}_list"
    if fields.get(history, (0, ""))[1] == "token_seq":
        raise UserError(
            f"{texts[0].label} has a whole history in each row ({history}), as RecBole's benchmark files have: give "
            "the file with one interaction a row that it was made from"
        )
    columns = Columns({}, {})
    for role, default in defaults.items():
        setting = getattr(settings, f"{role}_column")
        name = setting or default
        if name not in fields:
            raise UserError(
                f"{texts[0].label} has no column {name}, its columns are {', '.join(fields)}: "
                f"name the right one with --{role}-column"
                + {"rating": " or leave out --min-rating", "time": " or pass --order-is-time"}.get(role, "")
            )
        columns.places[role] = fields[name][0]
        columns.why[role] = f"--{role}-column" if setting else "the format of the file"
    return RawLog(_table(texts, fields, settings), columns)


def read_items(text: TextFile, settings: PrepareSettings) -> tuple[dict[str, pd.DataFrame], tuple[str, ...]]:
    """Read a table of items in the atomic format.

    Parameters
    ----------
    text, settings
        As for `read_inter`.

    Returns
    -------
    features : dict of str to DataFrame
        As in `RawLog`.
    notes : tuple of str
        Note of the columns that are not used.

    Raises
    ------
    UserError
        If the header is not of that format or has no column of item ids.
    """
    fields = _fields(text, settings)
    id_name = settings.item_column or "item_id"
    if id_name not in fields:
        listing = ", ".join(fields)
        raise UserError(f"{text.label} has no column {id_name}, its columns are {listing}: correct its header")
    names = [name for name, (_, kind) in fields.items() if kind in ("token", "token_seq") and name != id_name]
    table = _table((text,), fields, settings)
    with Engine() as engine, readable(text.label, table.encoding):
        places = ", ".join(f"c{fields[name][0]}" for name in (id_name, *names))
        rows = engine.frame(f"SELECT {places} FROM {table.relation(engine)}")
    features: dict[str, pd.DataFrame] = {}
    for place, name in enumerate(names, start=1):
        if feature_name(name) in features:
            raise UserError(f"{text.label} has two columns that would be called {feature_name(name)}: rename one")
        separator = " " if fields[name][1] == "token_seq" else None
        features[feature_name(name)] = long_feature(rows.iloc[:, 0], rows.iloc[:, place], separator)
    unused = [name for name in fields if name not in names and name != id_name]
    note = f"columns of numbers in {text.label} are no categories and are not used: {', '.join(unused)}"
    return features, (note,) if unused else ()


def long_feature(ids: pd.Series[str], values: pd.Series[str], separator: str | None) -> pd.DataFrame:
    """Bring a column of item values to the form of `RawLog`: a row for each value.

    Parameters
    ----------
    ids, values : Series of str, shape [items]
        Ids and values of items.
    separator : str or None
        Separator of several values in one cell; None if there is always one.

    Returns
    -------
    DataFrame
        Columns ``item`` and ``value``; empty values have no row.
    """
    table = pd.DataFrame({"item": ids, "value": values.fillna("")}, dtype="str")
    if separator is not None:
        table = table.assign(value=table["value"].str.split(separator)).explode("value", ignore_index=True)
    table["value"] = table["value"].str.strip()
    return table[table["value"] != ""].astype("str")


def _fields(text: TextFile, settings: PrepareSettings) -> dict[str, tuple[int, str]]:
    """Place and type of each column in an atomic header."""
    header = read_header(text, text_encoding(text, settings.encoding))
    if "\t" not in header and settings.delimiter is None and header.count(":") > 1:
        raise UserError(
            f"{text.label} has no tabs between its columns ({header[:60]!r}): pass --delimiter, such as --delimiter ' '"
        )
    fields: dict[str, tuple[int, str]] = {}
    for place, column in enumerate(split_header(header, check_delimiter(settings.delimiter or "\t"), quote=False)):
        name, _, kind = column.rpartition(":")
        if kind not in _TYPES or not name:
            raise UserError(
                f"{text.label}: the column {column[:60]!r} has no type, an atomic header reads user_id:token and so on "
                f"with types {', '.join(_TYPES)}: correct it, or name the file .tsv to read it as a table"
            )
        fields[name] = (place, kind)
    return fields


def _table(texts: Sequence[TextFile], fields: dict[str, tuple[int, str]], settings: PrepareSettings) -> DelimitedTable:
    encoding, delimiter = text_encoding(texts[0], settings.encoding), check_delimiter(settings.delimiter or "\t")
    return DelimitedTable(tuple(texts), tuple(fields), delimiter, encoding, quote=check_quote(settings.quote) or "")


def _inter_files(folder: Path) -> list[Path]:
    files = [file for file in sorted(folder.iterdir()) if file.name.endswith(_SUFFIXES)]
    return sorted(files, key=_part) if _are_parts(files) else files


def _part(file: Path) -> int:
    """Place of a part in RecBole's order, by its name; -1 for other files."""
    name = file.name.removesuffix(".gz").removesuffix(".inter").rpartition(".")[2]
    return _PARTS.index(name) if name in _PARTS else -1


def _are_parts(files: Sequence[Path]) -> bool:
    """Whether files are the training, validation and test parts of one log."""
    places = {_part(file) for file in files}
    return (
        len(files) > 1 and -1 not in places and len(places) == len(files) and len({_stem(part) for part in files}) == 1
    )


def _stem(file: Path) -> str:
    """Name of the dataset that a file of interactions belongs to."""
    stem = file.name.removesuffix(".gz").removesuffix(".inter")
    return stem.rpartition(".")[0] if _part(file) >= 0 else stem
