"""Tables of scores: rows of a user, an item and a number, in any format that ``prepare`` reads."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from easrec_nni.common.errors import UserError
from easrec_nni.data.dataset import Dataset
from easrec_nni.data.engine import Engine
from easrec_nni.data.manifest import PrepareSettings
from easrec_nni.data.reading import id_sql
from easrec_nni.data.reporting import LogReporter
from easrec_nni.data.sources.table import TableSource
from easrec_nni.data.times import number_sql

__all__ = ["ScoreTable", "read_scores"]

SCORE = "score"


@dataclass(frozen=True)
class ScoreTable:
    """Scores of users' items by number, by user and, within a user, from the highest down.

    Attributes
    ----------
    users : ndarray of int64, shape [R]
        User numbers.
    items : ndarray of int64, shape [R]
        Item numbers, from 1.
    scores : ndarray of float64, shape [R]
        Scores.
    dropped : dict of str to int
        Rows that were left out, by reason.
    """

    users: NDArray[np.int64]
    items: NDArray[np.int64]
    scores: NDArray[np.float64]
    dropped: dict[str, int]


def read_scores(path: Path, dataset: Dataset) -> ScoreTable:
    """Read a table with the columns of a user, an item and ``score``.

    Ids are those of the log that the dataset was prepared from, and are trimmed or put into lower case as they were
    there. Columns of users and items are found by the names that ``prepare`` knows.

    Parameters
    ----------
    path : Path
        Text with delimiters and a header, JSON lines, Parquet or Arrow, or a folder of parts.
    dataset : Dataset
        Dataset whose numbers the ids get.

    Raises
    ------
    UserError
        A column is missing, the file cannot be read, a score is not a number, or an item is given twice to a user.
    """
    made = dataset.manifest.settings
    settings = PrepareSettings(
        order_is_time=True, layout="rows", normalize_ids=made.normalize_ids, keep_missing_words=made.keep_missing_words
    )
    source, reporter = TableSource(), LogReporter()
    with Engine() as engine:
        raw = source.read(source.locate(path, reporter), settings, reporter)
        table, label = raw.table, raw.table.label
        names = [name.lower() for name in table.names]
        if SCORE not in names:
            raise UserError(
                f"{label} has no column {SCORE!r}: its columns are {', '.join(map(repr, table.names[:30]))}"
            )
        places = {
            "$user": raw.columns.places["user"],
            "$item": raw.columns.places["item"],
            "$score": names.index(SCORE),
        }
        columns = ", ".join(f'c{place} AS "{name}"' for name, place in places.items())
        engine.run(f"CREATE TABLE raw AS SELECT {columns} FROM {table.relation(engine)}", f"reading {label}")
        kinds = engine.columns("raw")
        for name, ids in (("users", dataset.user_ids), ("items", dataset.item_ids)):
            engine.register(name, _numbered(ids))
        user, item = (id_sql(engine, "raw", role, kinds, label, settings) for role in ("$user", "$item"))
        score = number_sql('"$score"', kinds["$score"])
        engine.run(
            f"CREATE TABLE scored AS SELECT users.number AS user, items.number AS item, {score} AS score FROM raw "
            f"LEFT JOIN users ON users.id = CAST({user} AS VARCHAR) "
            f"LEFT JOIN items ON items.id = CAST({item} AS VARCHAR)"
        )
        return _checked(engine, label)


def _numbered(ids: Iterable[str]) -> pa.Table:
    """Ids with their numbers."""
    texts = [str(text) for text in ids]
    return pa.table({"id": pa.array(texts, pa.string()), "number": np.arange(len(texts))})


def _checked(engine: Engine, label: str) -> ScoreTable:
    """Scores of the table ``scored`` that have a user and an item."""
    rows, unreadable, users, items = engine.row(
        "SELECT count(*), count(*) FILTER (score IS NULL), count(*) FILTER (user IS NULL), "
        "count(*) FILTER (user IS NOT NULL AND item IS NULL) FROM scored"
    )
    if unreadable:
        raise UserError(f"{label}: {unreadable} of {rows} rows have no finite number as score: correct them")
    known = "FROM scored WHERE user IS NOT NULL AND item IS NOT NULL"
    repeated = engine.row(f"SELECT count(*) FROM (SELECT 1 {known} GROUP BY user, item HAVING count(*) > 1)")[0]
    if repeated:
        raise UserError(f"{label}: {repeated} pairs of a user and an item have several rows: keep one score for each")
    query = f"SELECT user, item, score {known} ORDER BY user, score DESC, item"
    result = pa.Table.from_batches(
        list(engine.batches(query, "sorting scores")),
        schema=pa.schema({"user": pa.int64(), "item": pa.int64(), "score": pa.float64()}),
    )
    dropped = {"of a user that is not in the dataset": users, "of an item that is not in the dataset": items}
    return ScoreTable(
        result.column("user").to_numpy(),
        result.column("item").to_numpy(),
        result.column("score").to_numpy(),
        {reason: count for reason, count in dropped.items() if count},
    )
