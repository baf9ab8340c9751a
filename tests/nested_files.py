"""Files of nested rows, in each form that has objects and lists."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import feather, parquet

__all__ = ["FORMS", "write_rows", "write_table"]

FORMS = ("log.jsonl", "log.json", "log.parquet", "log.feather")


def write_rows(file: Path, rows: list[dict[str, Any]]) -> Path:
    """Write rows as the file's suffix says: JSON lines, an array, Parquet or Feather."""
    if file.suffix == ".jsonl":
        file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    elif file.suffix == ".json":
        file.write_text(json.dumps(rows))
    else:
        write_table(file, pa.Table.from_pylist(rows))
    return file


def write_table(file: Path, table: pa.Table) -> Path:
    """Write a table as Parquet or Feather."""
    if file.suffix == ".parquet":
        parquet.write_table(table, file)
    else:
        feather.write_feather(table, str(file))
    return file
