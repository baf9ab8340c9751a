"""Typed columnar tables: Parquet and Arrow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pyarrow import dataset, parquet

from easrec_nni.common.errors import UserError
from easrec_nni.data.engine import Engine, identifier, listed
from easrec_nni.data.sources.delimited import readable

__all__ = ["ColumnarTable"]


@dataclass(frozen=True)
class ColumnarTable:
    """Parquet files, or files of Arrow's (Feather's) format, one after another.

    Attributes
    ----------
    paths : tuple of Path
        Files of the same columns.
    names : tuple of str
        Names of the columns.
    arrow : bool
        Whether they are Arrow files.
    """

    paths: tuple[Path, ...]
    names: tuple[str, ...]
    arrow: bool

    @classmethod
    def at(cls, paths: Sequence[Path], arrow: bool) -> ColumnarTable:
        """Table in the given files, of which only the names of the columns are read.

        Raises
        ------
        UserError
            If a file is of another kind, or has other columns than the first.
        """
        names: list[tuple[str, ...]] = []
        for path in paths:
            with readable(path.name):
                schema = dataset.dataset(str(path), format="ipc").schema if arrow else parquet.read_schema(path)
                names.append(tuple(schema.names))
            if names[-1] != names[0]:
                raise UserError(f"{path.name} has other columns than {paths[0].name}: give files of the same columns")
        if len(set(map(str.lower, names[0]))) < len(names[0]):
            raise UserError(f"{paths[0].name} has two columns of one name: rename one")
        return cls(tuple(paths), names[0], arrow)

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
        columns = ", ".join(f"{identifier(name)} AS c{place}" for place, name in enumerate(self.names))
        if self.arrow:
            engine.register("arrow", dataset.dataset([str(path) for path in self.paths], format="ipc"))
            return f"(SELECT {columns} FROM arrow)"
        files = listed([str(path) for path in self.paths])
        if self.row_number is None:
            return f"(SELECT {columns} FROM read_parquet({files}))"
        return f"(SELECT file_row_number, {columns} FROM read_parquet({files}, file_row_number = true))"
