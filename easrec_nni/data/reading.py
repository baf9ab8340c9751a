"""Reading of a source's table into the engine, and checks of its ids and times."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

import duckdb

from easrec_nni.common.errors import UserError
from easrec_nni.data.engine import Engine, identifier, quoted
from easrec_nni.data.manifest import PrepareSettings
from easrec_nni.data.reporting import Reporter
from easrec_nni.data.sources.base import RawLog
from easrec_nni.data.sources.delimited import DelimitedTable
from easrec_nni.data.sources.jsonlines import JsonTable
from easrec_nni.data.times import (
    TimeColumn,
    clock_seconds,
    date_column,
    hour_seconds,
    number_sql,
    present,
    time_column,
    trimmed,
)
from easrec_nni.data.units import TimeUnit, time_unit
from easrec_nni.data.where import check_expression

__all__ = ["CheckedLog", "id_sql", "is_list", "read_log"]

MISSING_WORDS = ("NULL", "null", "\\N", "nan", "NaN", "None", "<NA>")
"""Spellings of a missing value in databases, pandas and Python. NA is not one: it is also a name."""

_LIST = """\\[(.*,.*|\\s*["'].*["']\\s*|\\s*)\\]"""
"""Lists of several values or texts, and empty ones; [12] and [unknown] are ids."""

_WITHOUT = "rows without "
_IDS = ("user", "item")


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
    columns : dict of str to str
        Name of the column by role, and the reason for its choice.
    time : str
        Content of the time column: numbers, dates or a format.
    unit : TimeUnit
        Unit of the times.
    notes : tuple of str
        Decisions that the user may want to change.
    """

    rows: int
    dropped: dict[str, int]
    columns: dict[str, str]
    time: str
    unit: TimeUnit
    notes: tuple[str, ...]


def read_log(engine: Engine, raw: RawLog, settings: PrepareSettings, reporter: Reporter) -> CheckedLog:
    """Read a log into the engine, check its ids and times, and apply the settings' filters.

    Before it sees a user's condition, the engine's access to files, network and extensions is off for good.

    Parameters
    ----------
    engine : Engine
        Engine that takes the interactions.
    raw : RawLog
        The log as its source describes it.
    settings : PrepareSettings
        Settings that decide what to leave out.
    reporter : Reporter
        Receives the steps.

    Returns
    -------
    CheckedLog
        What is left is the engine's relation ``log``.

    Raises
    ------
    UserError
        If a row has no id, no readable time or no readable rating, with the count and the first such row; if times
        have two units; or if the file cannot be read.
    """
    label = raw.table.label
    table = _load(engine, raw, settings, reporter)
    reporter.step("checking ids and times")
    rows = engine.row(f"SELECT count(*) FROM {table}")[0]
    if rows == 0:
        raise UserError(f"{label} has no interactions below its header: give a complete file")
    kinds = engine.columns(table)
    _refuse_header_as_value(engine, raw, settings, kinds)
    for role in _IDS:
        _refuse_unlike_ids(engine, table, role, raw, kinds)
    ids = {role: id_sql(engine, table, f"${role}", kinds, label, settings) for role in _IDS}
    time, names = _time(engine, table, raw, settings, kinds)
    unit = time_unit(engine, table, time, settings, label)
    reasons = {f"{_WITHOUT}{role} id": f"{sql} IS NULL" for role, sql in ids.items()}
    reasons[f"{_WITHOUT}readable time"] = f"{unit.sql} IS NULL"
    reasons |= _filters(settings, kinds, unit)
    counted = _counted(engine, table, reasons)
    if not settings.drop_invalid:
        _refuse_invalid(engine, table, label, rows, counted)
    if not counted and settings.normalize_ids == "none":  # then texts that are ids are what they are in the file
        ids |= {role: f'"${role}"' for role in ids if kinds[f"${role}"] == "VARCHAR"}
    columns = ", ".join(f'{sql} AS "{name}"' for name, sql in {"row": '"$row"', **ids, "time": unit.sql}.items())
    keep = " AND ".join(f"NOT coalesce({condition}, true)" for condition in reasons.values()) if counted else "true"
    # Each column is used once, but rows are to be chosen once.
    kind = "TABLE" if counted else "VIEW"
    engine.run(f"CREATE {kind} log AS SELECT {columns} FROM {table} WHERE {keep}", "checking ids and times")
    dropped = {reason: count for reason, (count, _) in counted.items()}
    return CheckedLog(rows, dropped, names, time.format, unit, (*raw.columns.notes, *time.notes))


def _load(engine: Engine, raw: RawLog, settings: PrepareSettings, reporter: Reporter) -> str:
    """Load the columns that are needed, and return the name of the table.

    The engine is locked before it sees the user's expression.
    """
    label, names = raw.table.label, raw.table.names
    used = {} if settings.where is None else check_expression(settings.where, names)
    reporter.step(f"reading {label}")
    selected = [f'c{place} AS "${role}"' for role, place in raw.columns.places.items()]
    selected += [f"c{place} AS {identifier(name)}" for name, place in used.items()]
    relation, number = raw.table.relation(engine), raw.table.row_number
    columns = ", ".join([f'{number or "row_number() OVER () - 1"} AS "$row"', *selected])
    # A table with row numbers is read as often as needed, unless the engine will be locked for the user's expression.
    kind = "TABLE" if number is None or settings.where is not None else "VIEW"
    engine.run(f"CREATE {kind} raw AS SELECT {columns} FROM {relation}", f"reading {label}")
    if settings.where is None:
        return "raw"
    engine.lock()
    kinds = engine.columns("raw")
    typed = [f"{_typed(engine, identifier(name), kinds[name])} AS {identifier(name)}" for name in used]
    roles = [identifier(name) for name in kinds if name not in used]
    engine.run(f"CREATE VIEW typed AS SELECT {', '.join(roles + typed)} FROM raw")
    try:
        engine.run(f'CREATE TABLE chosen AS SELECT *, ({settings.where}\n) AS "$keep" FROM typed', "choosing")
    except duckdb.Error as error:
        raise UserError(f"--where {settings.where[:80]!r}: {str(error).splitlines()[0][:200]}") from error
    if engine.columns("chosen")["$keep"] != "BOOLEAN":
        raise UserError(f"--where {settings.where[:80]!r} is not a condition: compare, as in price > 0")
    return "chosen"


def _typed(engine: Engine, column: str, kind: str) -> str:
    """SQL of a column for the user's expression, as numbers or booleans if all texts are such."""
    if kind != "VARCHAR":
        return column
    text = f"CASE WHEN {trimmed(column)} <> '' THEN {column} END"
    number, truth = number_sql(column, kind), f"CASE WHEN lower({column}) IN ('true', 'false') THEN lower({column}) END"
    n_texts, numbers, whole, truths = engine.row(
        f"SELECT count({text}), count({number}), count(*) FILTER ({number} = floor({number}) AND "
        f"abs({number}) < 9007199254740992), count({truth}) FROM raw"
    )
    if n_texts and n_texts == numbers:
        return f"CAST({number} AS BIGINT)" if whole == numbers else number
    return f"CAST({truth} AS BOOLEAN)" if n_texts and n_texts == truths else text


def _refuse_header_as_value(engine: Engine, raw: RawLog, settings: PrepareSettings, kinds: Mapping[str, str]) -> None:
    """Refuse a header whose names are also ids: as a rule it is a row of a table without one."""
    if settings.header is not None or not isinstance(raw.table, DelimitedTable) or not raw.table.header:
        return
    names = {role: raw.table.names[raw.columns.places[role]] for role in _IDS}
    looks = [f'count(*) FILTER ("${role}" = {quoted(name)})' for role, name in names.items()]
    for count, (role, name) in zip(engine.row(f"SELECT {', '.join(looks)} FROM raw"), names.items(), strict=True):
        if count:
            raise UserError(
                f"{raw.table.label}: {name!r} is the name of the {role} column and the id of {count} rows, so the "
                "header may be missing: pass --no-header and name the columns by number, or --header if it is one"
            )


def _refuse_unlike_ids(engine: Engine, table: str, role: str, raw: RawLog, kinds: Mapping[str, str]) -> None:
    """Refuse texts that are lists instead of ids, and decimal numbers of JSON that have lost digits."""
    column, label = f'"${role}"', raw.table.label
    if kinds[f"${role}"] != "VARCHAR":
        return
    rows, count, first = engine.row(
        f"SELECT count(*), count(*) FILTER ({is_list(column)}), min({column}) FILTER ({is_list(column)}) FROM {table}"
    )
    if 2 * count > rows:  # some are noted in the summary
        raise UserError(
            f"{label}: {count} {role} ids are lists or objects, such as {first[:60]}: write a row for each item, with "
            "its id as a number or text"
        )
    if not isinstance(raw.table, JsonTable):
        return
    number = f"TRY_CAST({column} AS DOUBLE)"
    lost = engine.row(
        f"SELECT count(*) FROM {table} WHERE abs({number}) >= {2.0**53!r} AND "
        f"regexp_full_match({column}, '-?[0-9.]+([.]|[eE])[0-9+]+')"
    )[0]
    if lost:
        raise UserError(_lost_digits(label, lost, role))


def is_list(column: str) -> str:
    """SQL of whether a text is a list or an object as JSON or Python write it."""
    a_list = f"{column} LIKE '[%]' AND regexp_full_match({column}, {quoted(_LIST)})"
    return f"({a_list} OR {column} LIKE '{{%}}' AND contains({column}, ':'))"


def _lost_digits(label: str, count: int, role: str) -> str:
    return (
        f"{label}: {count} {role} ids are decimal numbers too large to have all their digits, so that different ones "
        "may have become equal: store them as whole numbers or text"
    )


def id_sql(
    engine: Engine, table: str, role: str, kinds: Mapping[str, str], label: str, settings: PrepareSettings
) -> str:
    """SQL of an id, NULL where it is missing; text and whole numbers stay unchanged."""
    column, kind = f'"{role}"', kinds[role]
    if kind == "VARCHAR":
        return _text_id(column, settings)
    if re.search(r"\[|STRUCT|MAP|UNION|LIST", kind):
        name = "list" if "[" in kind else kind.lower()
        raise UserError(f"{label}: ids of type {name[:60]} cannot be read: store them as numbers or text")
    if kind in ("DOUBLE", "FLOAT"):
        number = f"CASE WHEN NOT isnan({column}) THEN {column} END"
        broken, lost = engine.row(
            f"SELECT count(*) FILTER ({number} <> floor({number})), "
            f"count(*) FILTER (abs({number}) >= {2.0 ** (53 if kind == 'DOUBLE' else 24)!r}) FROM {table}"
        )
        if lost:
            raise UserError(_lost_digits(label, lost, role[1:]))
        return f"CAST({number} AS VARCHAR)" if broken else f"CAST({number} AS BIGINT)"
    if kind == "BLOB":
        return _text_id(f"decode({column})", settings)
    if re.fullmatch("U?(TINY|SMALL|BIG|HUGE)?INT(EGER)?", kind):
        return column
    return _text_id(f"CAST({column} AS VARCHAR)", settings)


def _text_id(text: str, settings: PrepareSettings) -> str:
    if settings.normalize_ids != "none":
        text = f"lower({trimmed(text)})" if settings.normalize_ids == "lower" else trimmed(text)
    value = present(text)
    if settings.keep_missing_words:
        return value
    words = MISSING_WORDS if settings.normalize_ids != "lower" else {word.lower() for word in MISSING_WORDS}
    return f"CASE WHEN {text} NOT IN ({', '.join(map(quoted, sorted(words)))}) THEN {value} END"


def _time(
    engine: Engine, table: str, raw: RawLog, settings: PrepareSettings, kinds: Mapping[str, str]
) -> tuple[TimeColumn, dict[str, str]]:
    """Reading of the time, and the chosen columns with the reason for each."""
    label, places = raw.table.label, raw.columns.places
    names = {
        role: f"{raw.table.names[place]} ({raw.columns.why.get(role, 'a common name')})"
        for role, place in places.items()
        if role not in ("date", "clock")
    }
    if "time" not in places:
        how = "--order-is-time" if settings.order_is_time else "the format of the file"
        row = '-"$row"' if settings.newest_first else '"$row"'
        return TimeColumn(row, "the order of the rows"), names | {"time": f"the order of the rows ({how})"}
    if "date" in places or "clock" in places:
        day, clock = ("date", "time") if "date" in places else ("time", "clock")
        seconds = clock_seconds(f'"${clock}"', kinds[f"${clock}"])
        if raw.table.names[places[clock]].lower() == "hour":
            seconds = hour_seconds(engine, table, f'"${clock}"', kinds[f"${clock}"]) or seconds
        filled, fitting = engine.row(f'SELECT count("${clock}"), count({seconds}) FROM {table}')
        if filled == fitting or "clock" in places:
            day_name, clock_name = raw.table.names[places[day]], raw.table.names[places[clock]]
            date = date_column(engine, table, f'"${day}"', label, settings.time_format)
            if not date.is_date:
                raise UserError(
                    f"{label}: {clock_name} is a time of day, and {day_name} has no dates beside it but numbers: write "
                    "them as dates such as 2024-05-31, or pass --time-column with the one that orders the log"
                )
            name = f"{day_name} and {clock_name} (a date and a time of day)"
            sql, per_second = f"({date.sql}) + ({seconds}) * {date.per_second}", date.per_second
            return TimeColumn(sql, f"{date.format}, time of day", per_second), names | {"time": name}
    return time_column(engine, table, '"$time"', label, settings.time_format), names


def _filters(settings: PrepareSettings, kinds: Mapping[str, str], unit: TimeUnit) -> dict[str, str]:
    """Conditions of rows to drop, by reason."""
    reasons = {}
    if settings.min_rating is not None:
        rating = number_sql('"$rating"', kinds["$rating"])
        reasons[f"{_WITHOUT}readable rating"] = f"{rating} IS NULL"
        reasons[f"interactions with a rating below {settings.min_rating:g}"] = f"{rating} < {settings.min_rating!r}"
    if settings.where is not None:
        reasons[f"interactions outside --where {settings.where}"] = 'NOT coalesce("$keep", false)'
    if settings.since is not None:
        reasons[f"interactions before {settings.since}"] = f"{unit.sql} < {unit.parse(settings.since, 'since')!r}"
    if settings.until is not None:
        reasons[f"interactions from {settings.until} on"] = f"{unit.sql} >= {unit.parse(settings.until, 'until')!r}"
    return reasons


def _counted(engine: Engine, table: str, reasons: Mapping[str, str]) -> dict[str, tuple[int, int]]:
    """Count of rows left out and the first of them, by the first reason that holds for a row."""
    cases = " ".join(f"WHEN coalesce({reason}, true) THEN {place}" for place, reason in enumerate(reasons.values()))
    query = f'SELECT CASE {cases} END AS reason, count(*), min("$row") FROM {table} GROUP BY reason'
    counted = {place: (count, first) for place, count, first in engine.rows(query)}
    return {reason: counted[place] for place, reason in enumerate(reasons) if place in counted}


def _refuse_invalid(engine: Engine, table: str, label: str, rows: int, counted: Mapping[str, tuple[int, int]]) -> None:
    for reason, (count, first) in counted.items():
        if not reason.startswith(_WITHOUT):
            continue
        what = reason.removeprefix(_WITHOUT)
        role = next(role for role in ("user", "item", "time", "rating") if role in what)
        value = engine.row(f'SELECT "${role}" FROM {table} WHERE "$row" = {first}')[0]
        text = "" if value is None else str(value)
        hint = ""
        if role in _IDS and text in MISSING_WORDS:
            hint = f", or --keep-missing-words if {text} is an id"
        elif role == "time":
            hint = (
                "; times are numbers, or dates such as 2024-05-31T12:00:00Z, and --time-format names another format, "
                "--clock-column a time of day beside the date of --time-column"
            )
        advice = "correct them, or pass --drop-invalid to leave them out" if count < rows else "choose another column"
        raise UserError(
            f"{label}: {count} of {rows} rows have no {what}, the first is data row {first + 1} ({text[:40]!r}): "
            f"{advice}{hint}"
        )
