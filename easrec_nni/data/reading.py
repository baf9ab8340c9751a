"""From a table as its source has it to checked interactions in the engine."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from easrec_nni.common.errors import UserError
from easrec_nni.data.engine import Engine
from easrec_nni.data.manifest import PrepareSettings
from easrec_nni.data.reporting import Reporter
from easrec_nni.data.sources.base import RawLog
from easrec_nni.data.sources.delimited import readable
from easrec_nni.data.times import TimeColumn, number_sql, present, time_column

__all__ = ["CheckedLog", "read_log"]

_WITHOUT = "rows without "


@dataclass(frozen=True)
class CheckedLog:
    """Interactions that are ready to be numbered: the relation ``log`` of the engine.

    It has the columns ``row`` (place in the file, from 0), ``user`` and ``item`` (ids, never missing) and ``time``
    (BIGINT or DOUBLE).

    Attributes
    ----------
    rows : int
        Rows of the file.
    dropped : dict of str to int
        Rows that are not in the log, by reason.
    time : TimeColumn
        How times were read.
    """

    rows: int
    dropped: dict[str, int]
    time: TimeColumn


def read_log(engine: Engine, raw: RawLog, settings: PrepareSettings, reporter: Reporter) -> CheckedLog:
    """Read a log into the engine, check its ids and times, and leave out what the settings say.

    Parameters
    ----------
    engine : Engine
        Where the interactions go.
    raw : RawLog
        The log as its source describes it.
    settings : PrepareSettings
        What to leave out.
    reporter : Reporter
        Receives the steps.

    Returns
    -------
    CheckedLog
        What is left is the engine's relation ``log``.

    Raises
    ------
    UserError
        If a row has no id, no readable time or no readable rating, with the count and the first such row; or the
        file cannot be read.
    """
    label = raw.table.label
    reporter.step(f"reading {label}")
    chosen = ", ".join(f'c{place} AS "{role}"' for role, place in raw.columns.items())
    with readable(label):
        relation = raw.table.relation(engine)
        query = f"CREATE TABLE raw AS SELECT row_number() OVER () - 1 AS row, {chosen} FROM {relation}"
        engine.run(query, f"reading {label}")
    rows = engine.row("SELECT count(*) FROM raw")[0]
    if rows == 0:
        raise UserError(f"{label} has no interactions below its header: give a complete file")
    reporter.step("checking ids and times")
    kinds = engine.columns("raw")
    ids = {role: _id(engine, role, kinds[role], label) for role in ("user", "item")}
    time = time_column(engine, "raw", '"time"', label, settings.time_format)
    reasons = {f"{_WITHOUT}{role} id": f"{sql} IS NULL" for role, sql in ids.items()}
    reasons[f"{_WITHOUT}readable time"] = f"{time.sql} IS NULL"
    if settings.min_rating is not None:
        rating = number_sql("rating", kinds["rating"])
        reasons[f"{_WITHOUT}readable rating"] = f"{rating} IS NULL"
        reasons[f"interactions with a rating below {settings.min_rating:g}"] = f"{rating} < {settings.min_rating!r}"
    counted = _counted(engine, reasons)
    if not settings.drop_invalid:
        _refuse_invalid(engine, label, rows, counted)
    keep = " AND ".join(f"NOT coalesce({condition}, true)" for condition in reasons.values()) if counted else "true"
    # What is more than a column is computed once.
    plain = keep == "true" and all(sql == f'"{role}"' for role, sql in (*ids.items(), ("time", time.sql)))
    columns = ", ".join(f'{sql} AS "{role}"' for role, sql in (*ids.items(), ("time", time.sql)))
    engine.run(f"CREATE {'VIEW' if plain else 'TABLE'} log AS SELECT row, {columns} FROM raw WHERE {keep}", "checking")
    return CheckedLog(rows, {reason: count for reason, (count, _) in counted.items()}, time)


def _id(engine: Engine, role: str, kind: str, label: str) -> str:
    """SQL of an id, NULL where it is missing: text and whole numbers stay what they are."""
    column = f'"{role}"'
    if kind == "VARCHAR":
        return present(column)
    if re.search(r"\[|STRUCT|MAP|UNION|LIST", kind):
        name = "list" if "[" in kind else kind.lower()
        raise UserError(f"{label}: ids of type {name[:60]} cannot be read: store them as numbers or text")
    if kind in ("DOUBLE", "FLOAT"):
        number = f"CASE WHEN NOT isnan({column}) THEN {column} END"
        broken, lost = engine.row(
            f"SELECT count(*) FILTER ({number} <> floor({number})), "
            f"count(*) FILTER (abs({number}) >= {2.0 ** (53 if kind == 'DOUBLE' else 24)!r}) FROM raw"
        )
        if lost:
            raise UserError(
                f"{label}: {lost} {role} ids are decimal numbers too large to have all their digits, so that different "
                "ones may have become equal: store them as whole numbers or text"
            )
        return f"CAST({number} AS VARCHAR)" if broken else f"CAST({number} AS BIGINT)"
    if kind == "BLOB":
        return f"decode({column})"
    return column if re.fullmatch("U?(TINY|SMALL|BIG|HUGE)?INT(EGER)?", kind) else f"CAST({column} AS VARCHAR)"


def _counted(engine: Engine, reasons: Mapping[str, str]) -> dict[str, tuple[int, int]]:
    """How many rows are left out, and the first of them, by the first reason that holds for a row."""
    cases = " ".join(f"WHEN coalesce({reason}, true) THEN {place}" for place, reason in enumerate(reasons.values()))
    query = f"SELECT CASE {cases} END AS reason, count(*), min(row) FROM raw GROUP BY reason"
    counted = {place: (count, first) for place, count, first in engine.rows(query)}
    return {reason: counted[place] for place, reason in enumerate(reasons) if place in counted}


def _refuse_invalid(engine: Engine, label: str, rows: int, counted: Mapping[str, tuple[int, int]]) -> None:
    for reason, (count, first) in counted.items():
        if not reason.startswith(_WITHOUT):
            continue
        what = reason.removeprefix(_WITHOUT)
        role = next(role for role in ("user", "item", "time", "rating") if role in what)
        value = engine.row(f'SELECT "{role}" FROM raw WHERE row = {first}')[0]
        raise UserError(
            f"{label}: {count} of {rows} rows have no {what}, the first is data row {first + 1} "
            f"({str('' if value is None else value)[:40]!r}): correct them, or pass --drop-invalid to leave them out"
        )
