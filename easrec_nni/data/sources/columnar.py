"""Typed columnar tables: Parquet and Arrow."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
from pyarrow import dataset, parquet

from easrec_nni.common.errors import UserError
from easrec_nni.data.engine import Engine, identifier, listed, quoted
from easrec_nni.data.sources.delimited import readable

__all__ = ["ColumnarTable"]


@dataclass(frozen=True)
class ColumnarTable:
    """Parquet files, or files of Arrow's (Feather's) format, one after another.

    Attributes
    ----------
    paths : tuple of Path
        Files of the same columns.
    fields : tuple of tuple of str
        Names of the columns; several names where a value is a structure of fields.
    arrow : bool
        Whether they are Arrow files.
    """

    paths: tuple[Path, ...]
    fields: tuple[tuple[str, ...], ...]
    arrow: bool

    @classmethod
    def at(cls, paths: Sequence[Path], arrow: bool) -> ColumnarTable:
        """Table in the given files, of which only the names of the columns are read.

        Raises
        ------
        UserError
            If a file is of another kind, or has other columns than the first.
        """
        tables: list[ColumnarTable] = []
        for path in paths:
            with readable(path.name):
                schema = dataset.dataset(str(path), format="ipc").schema if arrow else parquet.read_schema(path)
                tables.append(cls(tuple(paths), tuple(_fields(schema)), arrow))
            if tables[-1] != tables[0]:
                raise UserError(f"{path.name} has other columns than {paths[0].name}: give files of the same columns")
        if len(set(map(str.lower, tables[0].names))) < len(tables[0].names):
            raise UserError(f"{paths[0].name} has two columns of one name: rename one")
        return tables[0]

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the columns, joined by dots where structures are nested (``user.id``)."""
        return tuple(".".join(names) for names in self.fields)

    @property
    def label(self) -> str:
        """Name of the first file."""
        return self.paths[0].name

    @property
    def row_number(self) -> str | None:
        """SQL of a row's number, for a single Parquet file; None otherwise."""
        return "file_row_number" if not self.arrow and len(self.paths) == 1 else None

    def relation(self, engine: Engine) -> str:
        """SQL that reads the files."""
        columns = ", ".join(f"{_value(*names)} AS c{place}" for place, names in enumerate(self.fields))
        if self.arrow:
            engine.register("arrow", dataset.dataset([str(path) for path in self.paths], format="ipc"))
            return f"(SELECT {columns} FROM arrow)"
        files = listed([str(path) for path in self.paths])
        if self.row_number is None:
            return f"(SELECT {columns} FROM read_parquet({files}))"
        return f"(SELECT file_row_number, {columns} FROM read_parquet({files}, file_row_number = true))"


def _value(column: str, *names: str) -> str:
    """SQL of a value, under further names in a column of structures."""
    sql = identifier(column)
    for name in names:
        sql = f"struct_extract({sql}, {quoted(name)})"
    return sql


def _fields(fields: Iterable[pa.Field]) -> Iterator[tuple[str, ...]]:
    """Names of all fields that are not structures of fields themselves."""
    for field in fields:
        if pa.types.is_struct(field.type):
            yield from ((field.name, *inner) for inner in _fields(field.type.fields))
        else:
            yield (field.name,)
