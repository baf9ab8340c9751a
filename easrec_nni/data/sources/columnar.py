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
from easrec_nni.data.sources.nested import NestedColumn

__all__ = ["ColumnarTable"]


@dataclass(frozen=True)
class ColumnarTable:
    """Parquet files, or files of Arrow's (Feather's) format, one after another.

    Attributes
    ----------
    paths : tuple of Path
        Files of the same columns.
    columns : tuple of NestedColumn
        Columns, and the fields of structures.
    arrow : bool
        Whether they are Arrow files.
    lists : tuple of tuple of str
        Names of the opened lists, whose elements are the rows.
    """

    paths: tuple[Path, ...]
    columns: tuple[NestedColumn, ...]
    arrow: bool
    lists: tuple[tuple[str, ...], ...] = ()

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
                tables.append(cls(tuple(paths), tuple(_nested(schema)), arrow))
            if tables[-1] != tables[0]:
                raise UserError(f"{path.name} has other columns than {paths[0].name}: give files of the same columns")
        if len(set(map(str.lower, tables[0].names))) < len(tables[0].names):
            raise UserError(f"{paths[0].name} has two columns of one name: rename one")
        return tables[0]

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the columns, joined by dots where structures are nested (``user.id``)."""
        return tuple(column.name for column in self.columns)

    @property
    def label(self) -> str:
        """Name of the first file."""
        return self.paths[0].name

    @property
    def row_number(self) -> str | None:
        """SQL of a row's number, for a single Parquet file without opened lists; None otherwise."""
        return "file_row_number" if not (self.arrow or self.lists) and len(self.paths) == 1 else None

    def relation(self, engine: Engine) -> str:
        """SQL that reads the files."""
        if self.arrow:
            engine.register("arrow", dataset.dataset([str(path) for path in self.paths], format="ipc"))
            source = "arrow"
        else:
            numbers = ", file_row_number = true" if self.row_number is not None else ""
            source = f"read_parquet({listed([str(path) for path in self.paths])}{numbers})"
        # A missing list is a row without a value, which is counted; an empty one is none.
        elements = [
            f'unnest(coalesce({_value(keys)}, [NULL])) AS "$element{place}"' for place, keys in enumerate(self.lists)
        ]
        if elements:
            source = f"(SELECT *, {', '.join(elements)} FROM {source})"
        values = [f"{self._value(column)} AS c{place}" for place, column in enumerate(self.columns)]
        return f"(SELECT {', '.join([*filter(None, [self.row_number]), *values])} FROM {source})"

    def _value(self, column: NestedColumn) -> str:
        """SQL of a value; NULL within a list that is not opened."""
        if column.keys in self.lists:
            return _value((f"$element{self.lists.index(column.keys)}", *(column.inner or ())))
        return "NULL" if column.inner else _value(column.keys)


def _value(names: Sequence[str]) -> str:
    """SQL of a value, under further names in a column of structures."""
    sql = identifier(names[0])
    for name in names[1:]:
        sql = f"struct_extract({sql}, {quoted(name)})"
    return sql


def _nested(fields: Iterable[pa.Field], keys: tuple[str, ...] = ()) -> Iterator[NestedColumn]:
    """Columns of all fields that are not structures of fields themselves."""
    for field in fields:
        path = (*keys, field.name)
        if pa.types.is_struct(field.type):
            yield from _nested(field.type.fields, path)
        elif _is_list(field.type) and pa.types.is_struct(field.type.value_type):
            inner = _nested(field.type.value_type.fields, path)
            yield from (NestedColumn(path, column.keys[len(path) :]) for column in inner)
        else:
            yield NestedColumn(path, () if _is_list(field.type) else None)


def _is_list(kind: pa.DataType) -> bool:
    tests = (
        pa.types.is_list,
        pa.types.is_large_list,
        pa.types.is_fixed_size_list,
        pa.types.is_list_view,
        pa.types.is_large_list_view,
    )
    return any(test(kind) for test in tests)
