"""Time columns: numbers or dates, their format, and the SQL that reads them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

import duckdb

from easrec_nni.common.errors import UserError
from easrec_nni.data.engine import Engine, quoted

__all__ = [
    "TimeColumn",
    "clock_seconds",
    "date_column",
    "hour_seconds",
    "number_sql",
    "present",
    "time_column",
    "trimmed",
]

_BLANKS = "\t\n\x0b\x0c\r \x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000" + "".join(map(chr, range(0x2000, 0x200B)))
_DAYS: tuple[str, ...] = (
    "%m/%d/%Y",
    "%d/%m/%Y",
    "%d.%m.%Y",
    "%m-%d-%Y",
    "%d-%m-%Y",
    "%d %b %Y",
    "%d %B %Y",
    "%b %d %Y",
    "%m %d, %Y",
)
_DAYS += ("%b %d, %Y", "%B %d, %Y", "%Y.%m.%d", "%Y%m%d", "%d-%b-%Y", "%d-%b-%y", "%m/%d/%y", "%d/%m/%y")
_CLOCKS = tuple(mark + clock for clock in ("%H:%M:%S", "%H:%M", "%I:%M:%S %p", "%I:%M %p") for mark in (" ", ", "))
FORMATS = (
    *(day + clock for day in _DAYS for clock in ("", *_CLOCKS)),
    "%a %b %d %H:%M:%S %z %Y",
    "%a %b %d %H:%M:%S %Y",
    "%a, %d %b %Y %H:%M:%S %z",
    # Zone names other than these are ambiguous, such as CST.
    *("%a, %d %b %Y %H:%M:%S " + zone for zone in ("GMT", "UTC")),
    *(f"%a %b %d %H:%M:%S {zone} %Y" for zone in ("GMT", "UTC")),
    "%d/%b/%Y:%H:%M:%S %z",
    "%Y%m%dT%H%M%SZ",
    "%Y%m%dT%H%M%S",
    "%Y-%m-%dT%H",
    "%Y-%m",
)
"""Formats to try where times are neither numbers nor ISO 8601."""

LARGEST = 2.0**63
"""Numbers from here on do not fit 64 bits."""


@dataclass(frozen=True)
class TimeColumn:
    """Reading of a time column.

    Attributes
    ----------
    sql : str
        Expression for the time of a row, BIGINT or DOUBLE; NULL where it is not readable.
    format : str
        What the column holds: ``numbers``, ``dates`` (the type of the column), ``ISO 8601`` or a format of strptime.
    per_second : int
        For dates, units of the time in a second: nanoseconds where some times have them, seconds otherwise.
    notes : tuple of str
        Decisions that the user may want to change.
    """

    sql: str
    format: str
    per_second: int = 1
    notes: tuple[str, ...] = ()

    @property
    def is_date(self) -> bool:
        """Whether times count from 1970-01-01 UTC and are made from dates."""
        return self.format not in ("numbers", "the order of the rows")


def present(sql: str) -> str:
    """SQL of a text; NULL where it is blank, which its first character usually decides."""
    return f"CASE WHEN {sql} >= '!' AND {sql} < '\x7f' OR {trimmed(sql)} <> '' THEN {sql} END"


def number_sql(sql: str, kind: str) -> str:
    """SQL of the finite number in a column, of type DOUBLE; NULL where there is none."""
    number = f"TRY_CAST({trimmed(sql) if kind == 'VARCHAR' else sql} AS DOUBLE)"
    plain = f" AND NOT contains({sql}, '_')" if kind == "VARCHAR" else ""  # 1_000 is a number to the engine
    return f"CASE WHEN isfinite({number}){plain} THEN {number} END"


def clock_seconds(sql: str, kind: str) -> str:
    """SQL of the seconds since midnight; NULL without a time of day.

    It reads texts such as 9:05, 09:05:59 or 9:05 PM, and numbers such as 905.
    """
    if kind == "TIME":
        return f"epoch_us({sql}) // 1000000"
    text = trimmed(f"CAST({sql} AS VARCHAR)")
    digits = f"CASE WHEN regexp_full_match({text}, '[0-9]{{1,4}}|[0-9]{{6}}') THEN {text} END"
    padded = f"CASE WHEN len({digits}) = 6 THEN {digits} ELSE lpad({digits}, 4, '0') || '00' END"
    formats = ", ".join(map(quoted, ("%H:%M:%S", "%H:%M", "%I:%M:%S %p", "%I:%M %p")))
    moment = f"coalesce(try_strptime({padded}, '%H%M%S'), try_strptime({text}, [{formats}]))"
    return f"(hour({moment}) * 3600 + minute({moment}) * 60 + second({moment}))"


def hour_seconds(engine: Engine, table: str, sql: str, kind: str) -> str | None:
    """SQL of the seconds since midnight of whole hours, 0 to 24; None if other values are there."""
    hour = number_sql(sql, kind)
    others = engine.row(
        f"SELECT count(*) FILTER (NOT coalesce({hour} = floor({hour}) AND {hour} BETWEEN 0 AND 24, false)) FROM {table}"
    )[0]
    return None if others else f"CAST({hour} AS BIGINT) * 3600"


def time_column(engine: Engine, table: str, sql: str, label: str, time_format: str | None) -> TimeColumn:
    """Detect how to read a time column.

    Parameters
    ----------
    engine : Engine
        Engine that has the table.
    table : str
        Name of the table.
    sql : str
        SQL of the column.
    label : str
        Name of the file in messages.
    time_format : str or None
        Format of strptime that the user gave.

    Returns
    -------
    TimeColumn
        The reading that leaves the fewest rows unread.

    Raises
    ------
    UserError
        If two formats read all rows and disagree, the given one is not a format, or times of 32 bits have lost digits.
    """
    kind = next(iter(engine.columns(f"(SELECT {sql} FROM {table})").values()))
    if re.match("TIMESTAMP|DATE", kind):
        moment = f"CAST({sql} AS {'TIMESTAMPTZ' if re.search('ZONE|TZ', kind) else 'TIMESTAMP'})"
        micros = f"CASE WHEN isfinite({moment}) THEN epoch_us({moment}) END"
        nanos = f"CASE WHEN isfinite({moment}) THEN epoch_ns({sql}) END" if kind == "TIMESTAMP_NS" else None
        return _seconds(engine, table, micros, "dates", nanos)
    if kind == "FLOAT" and (lost := engine.row(f"SELECT count(*) FILTER (abs({sql}) >= {1 << 24}) FROM {table}")[0]):
        raise UserError(
            f"{label}: {lost} times are decimal numbers of 32 bits, which have seven digits, so that different times "
            "may have become equal: store them as whole numbers or as decimals of 64 bits"
        )
    if kind != "VARCHAR":
        return _numbers(engine, table, sql, kind)
    if time_format is not None:
        return _seconds(engine, table, _formatted(engine, sql, time_format), time_format)
    rows, whole = engine.row(f"SELECT count(*), count({_whole(sql)}) FROM {table}")
    if rows == whole:
        return TimeColumn(_whole(sql), "numbers")
    iso = _iso_micros(sql)
    numbers, dates = engine.row(f"SELECT count({number_sql(sql, kind)}), count({iso}) FROM {table}")
    if max(numbers, dates) < rows:
        other = _other_format(engine, table, sql, label, max(numbers, dates))
        if other is not None:
            return other
    if dates > numbers:
        return _seconds(engine, table, iso, "ISO 8601", _iso_nanos(sql, iso))
    times = _numbers(engine, table, sql, kind)
    return replace(times, notes=_rounded_notes(engine, table, sql))


def date_column(engine: Engine, table: str, sql: str, label: str, time_format: str | None) -> TimeColumn:
    """Detect how to read a column of dates beside a time of day: as `time_column`, and numbers such as 20240531."""
    column = time_column(engine, table, sql, label, time_format)
    if column.is_date:
        return column
    digits = f"CAST({column.sql} AS VARCHAR)"
    written = _seconds(engine, table, _formatted(engine, digits, "%Y%m%d"), "%Y%m%d")
    rows, others = engine.row(
        f"SELECT count({sql}), count({sql}) FILTER (len({digits}) <> 8 OR {written.sql} IS NULL) FROM {table}"
    )
    return written if rows and not others else column


def trimmed(sql: str) -> str:
    """SQL of a text without white space around it.

    Few texts have any, and trimming is slow, so that the first and last characters are checked before.
    """
    ends = " AND ".join(f"ascii({end}) BETWEEN 33 AND 126" for end in (sql, f"right({sql}, 1)"))
    return f"(CASE WHEN {ends} THEN {sql} ELSE trim({sql}, {quoted(_BLANKS)}) END)"


def _whole(sql: str) -> str:
    """SQL of the whole number in a text (also with zeros behind a point), of type BIGINT; NULL where there is none."""
    number = f"TRY_CAST({sql} AS BIGINT)"  # which also reads 1.5, 1e3 and 0x10: it must give the same text again
    text = trimmed(sql)
    digits = f"regexp_extract({text}, '^([+-]?[0-9]+)([.]0*)?$', 1)"
    other = f"WHEN {digits} <> '' THEN TRY_CAST({digits} AS BIGINT)"
    return f"CASE WHEN CAST({number} AS VARCHAR) = {sql} THEN {number} {other} END"


def _numbers(engine: Engine, table: str, sql: str, kind: str) -> TimeColumn:
    """Read numbers: as BIGINT if all are whole, or else as DOUBLE."""
    number = number_sql(sql, kind)
    if kind == "VARCHAR":
        whole = _whole(sql)
    elif re.fullmatch("U?(TINY|SMALL|BIG)?INT(EGER)?", kind):
        whole = sql if kind != "UBIGINT" else f"TRY_CAST({sql} AS BIGINT)"
    elif re.match("HUGEINT|DECIMAL", kind):
        whole = f"CASE WHEN {sql} = floor({sql}) THEN TRY_CAST({sql} AS BIGINT) END"
    else:
        whole = "NULL::BIGINT"
    lost, broken = engine.row(
        f"SELECT count(*) FILTER ({whole} IS NULL AND {number} IS NOT NULL), "
        f"count(*) FILTER ({whole} IS NULL AND ({number} <> floor({number}) OR abs({number}) >= {LARGEST!r})) "
        f"FROM {table}"
    )
    if lost == 0:
        return TimeColumn(whole if whole == sql and kind == "BIGINT" else f"CAST({whole} AS BIGINT)", "numbers")
    if broken:
        return TimeColumn(number, "numbers")
    return TimeColumn(f"coalesce({whole}, CAST({number} AS BIGINT))", "numbers")


def _rounded_notes(engine: Engine, table: str, sql: str) -> tuple[str, ...]:
    """Note on whole numbers of which a program wrote the first digits alone, such as 1.7E+09."""
    text = trimmed(sql)
    decimals = f"regexp_extract({text}, '^[+-]?[0-9][.]?([0-9]*)[eE][+]?[0-9]+$', 1)"
    exponent = f"TRY_CAST(regexp_extract({text}, '[eE][+]?([0-9]+)$', 1) AS INTEGER)"
    rounded = f"contains(lower({sql}), 'e') AND {exponent} > len({decimals})"
    count, first = engine.row(f"SELECT count(*), min({sql}) FROM {table} WHERE {rounded}")
    if not count:
        return ()
    return (
        f"{count} times are written with their first digits alone (such as {first[:40]}), so that different ones may "
        "have become equal: export them as whole numbers or dates",
    )


def _iso_micros(sql: str) -> str:
    """SQL of the microseconds since 1970 of an ISO 8601 date, UTC where it names no zone."""
    text = trimmed(sql)
    like_a_date = f"ascii({text}) BETWEEN 48 AND 57 AND substr({text}, 5, 1) IN ('-', '/')"
    point = f"replace({text}, ',', '.')"  # ISO 8601 allows either before the fraction; Python's logging writes a comma
    return f"CASE WHEN {like_a_date} THEN epoch_us(TRY_CAST({point} AS TIMESTAMPTZ)) END"


def _iso_nanos(sql: str, micros: str) -> str:
    """SQL of the nanoseconds since 1970 of an ISO 8601 date; ``micros`` is that of its microseconds."""
    more = f"regexp_extract({sql}, '[.,][0-9]{{6}}([0-9]{{1,3}})', 1)"
    return f"{micros} * 1000 + coalesce(TRY_CAST(rpad({more}, 3, '0') AS BIGINT), 0)"


def _seconds(engine: Engine, table: str, micros: str, name: str, nanos: str | None = None) -> TimeColumn:
    """Read microseconds as seconds, BIGINT if all are whole, or else DOUBLE; and finer times as nanoseconds."""
    if nanos is not None:
        farthest = engine.row(f"SELECT max(abs({micros})) FROM {table}")[0]
        fits = farthest is not None and farthest < LARGEST / 1000 - 1
        if fits and engine.row(f"SELECT count(*) FILTER (({nanos}) % 1000 <> 0) FROM {table}")[0]:
            return TimeColumn(nanos, name, per_second=10**9)
    broken = engine.row(f"SELECT count(*) FILTER ({micros} % 1000000 <> 0) FROM {table}")[0]
    return TimeColumn(f"CAST({micros} AS DOUBLE) / 1e6" if broken else f"({micros}) // 1000000", name)


def _formatted(engine: Engine, sql: str, time_format: str) -> str:
    try:
        engine.row(f"SELECT try_strptime('', {quoted(time_format)})")
    except duckdb.Error as error:
        raise UserError(f"--time-format {time_format!r} is not a format: pass one such as '%d.%m.%Y %H:%M'") from error
    return f"epoch_us(try_strptime({trimmed(sql)}, {quoted(time_format)}))"


def _other_format(engine: Engine, table: str, sql: str, label: str, read: int) -> TimeColumn | None:
    """Find the common format that reads most rows; None unless it reads more than `read`."""
    first = engine.rows(f"SELECT {trimmed(sql)} FROM {table} WHERE {trimmed(sql)} <> '' LIMIT 1")
    if not first:
        return None
    # %Y also reads 23 as the year 23.
    attempts = ", ".join(
        f"coalesce(year(try_strptime({quoted(first[0][0])}, {quoted(pattern)})) > 99, false)" for pattern in FORMATS
    )
    fit = [pattern for pattern, fits in zip(FORMATS, engine.row(f"SELECT {attempts}"), strict=True) if fits]
    counts = _counts(engine, table, [_formatted(engine, sql, pattern) for pattern in fit])
    best = max(counts, default=0)
    if best <= read:
        return None
    best_patterns = [pattern for pattern, count in zip(fit, counts, strict=True) if count == best]
    best_sql = _formatted(engine, sql, best_patterns[0])
    for other in best_patterns[1:]:
        if engine.row(f"SELECT count(*) FILTER ({best_sql} <> {_formatted(engine, sql, other)}) FROM {table}")[0]:
            raise UserError(
                f"{label}: times such as {first[0][0][:40]!r} can be read as {best_patterns[0]} or as {other}: "
                f"pass --time-format '{best_patterns[0]}' or the other"
            )
    return _seconds(engine, table, best_sql, best_patterns[0])


def _counts(engine: Engine, table: str, expressions: Sequence[str]) -> tuple[int, ...]:
    counts = ", ".join(f"count({expression})" for expression in expressions)
    return engine.row(f"SELECT {counts} FROM {table}") if counts else ()
