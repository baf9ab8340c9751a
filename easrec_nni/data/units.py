"""Units of numeric times, detected by their size."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from easrec_nni.common.errors import UserError
from easrec_nni.data.engine import Engine
from easrec_nni.data.manifest import PrepareSettings
from easrec_nni.data.times import TimeColumn

__all__ = ["TimeUnit", "time_unit"]

_PER_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
_NAMES = {"s": "seconds", "ms": "milliseconds", "us": "microseconds", "ns": "nanoseconds"}
_SMALLEST = {"s": 1e8, "ms": 1e11, "us": 1e14, "ns": 1e17, "": 1e20}
"""From here on, until the next one, a number is taken for a time since 1970 in that unit (1973 to 5138)."""
_WRITTEN = {"%Y%m%d": (1e7, 1e8), "%Y%m%d%H%M%S": (1e13, 1e14)}
"""Dates that are written as numbers, such as 20240531, and how large these are."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class TimeUnit:
    """Unit of the numbers in a time column.

    Attributes
    ----------
    sql : str
        Expression for the time, in one unit.
    name : str
        ``seconds``, ``milliseconds``, ..., a format of strptime for dates written as numbers, or ``plain numbers``.
    per_second : int or None
        Units in a second, for times since 1970; None for other numbers.
    """

    sql: str
    name: str
    per_second: int | None

    def shown(self, time: float) -> str:
        """Format a time for display."""
        try:
            if self.per_second is not None:
                moment = _EPOCH + timedelta(microseconds=int(time * 1_000_000 // self.per_second))
                return f"{moment:%Y-%m-%d %H:%M:%S}"
            if self.name.startswith("%"):
                return f"{datetime.strptime(str(int(time)), self.name):%Y-%m-%d %H:%M:%S}"
        except (OverflowError, ValueError):  # a year beyond what Python writes
            pass
        return f"{time:g}" if isinstance(time, float) else str(time)

    def parse(self, text: str, option: str) -> float:
        """Parse a time that the user gave: a number in this unit, or a date.

        Raises
        ------
        UserError
            If it is neither, or a date where times are plain numbers.
        """
        try:
            return float(text) if "." in text else int(text)
        except ValueError:
            pass
        try:
            moment = datetime.fromisoformat(text)
        except ValueError as error:
            raise UserError(
                f"--{option} {text!r} is not a date: pass one such as 2024-05-31 or 2024-05-31T12:00"
            ) from error
        if self.per_second is None:
            raise UserError(f"--{option} {text!r}: times of this log are {self.name}: pass a number")
        moment = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
        return (moment - _EPOCH) // timedelta(microseconds=1) * self.per_second / 1_000_000


def time_unit(engine: Engine, table: str, time: TimeColumn, settings: PrepareSettings, label: str) -> TimeUnit:
    """Detect the unit of a time column.

    Parameters
    ----------
    engine : Engine
        Engine that has the table.
    table : str
        Name of the table.
    time : TimeColumn
        Reading of the column.
    settings : PrepareSettings
        Settings, of which ``time_unit`` is used.
    label : str
        Name of the file in messages.

    Returns
    -------
    TimeUnit
        The unit of all times.

    Raises
    ------
    UserError
        If the times have two units, and the settings do not say what to do.
    """
    if time.is_date:
        return TimeUnit(time.sql, "seconds" if time.per_second == 1 else "nanoseconds", time.per_second)
    if settings.time_unit in _NAMES:
        return TimeUnit(time.sql, _NAMES[settings.time_unit], _PER_SECOND[settings.time_unit])
    bounds = list(_SMALLEST.items())
    bands = {
        unit: f"abs({time.sql}) >= {low!r} AND abs({time.sql}) < {bounds[place + 1][1]!r}"
        for place, (unit, low) in enumerate(bounds[:-1])
    }
    looks = ", ".join(f"count(*) FILTER ({band})" for band in bands.values())
    *counts, n_times = engine.row(f"SELECT {looks}, count({time.sql}) FROM {table}")
    unit_counts = {unit: count for unit, count in zip(bands, counts, strict=True) if count}
    if settings.time_unit == "number" or not n_times:
        return TimeUnit(time.sql, "plain numbers", None)
    for written, (low, high) in _WRITTEN.items():
        if (
            engine.row(f"SELECT count(*) FILTER ({time.sql} >= {low!r} AND {time.sql} < {high!r}) FROM {table}")[0]
            < n_times
        ):
            continue
        date = f"try_strptime(CAST(CAST({time.sql} AS BIGINT) AS VARCHAR), '{written}')"
        if engine.row(f"SELECT count({date}) FROM {table}")[0] == n_times:
            return TimeUnit(time.sql, written, None)
    if len(unit_counts) > 1 and settings.time_unit != "mixed":
        units = " and ".join(f"{count} {_NAMES[unit]}" for unit, count in unit_counts.items())
        raise UserError(
            f"{label}: times have two units, as {units} by their size: pass --time-unit mixed to bring them to one, "
            "--time-unit number if they are plain numbers, or the unit that all have, such as --time-unit s"
        )
    if not unit_counts:
        return TimeUnit(time.sql, "plain numbers", None)
    finest = max(unit_counts, key=lambda unit: _PER_SECOND[unit])
    cases = " ".join(
        f"WHEN {bands[unit]} THEN {time.sql} * {_PER_SECOND[finest] // _PER_SECOND[unit]}" for unit in unit_counts
    )
    sql = f"CASE {cases} ELSE {time.sql} END" if len(unit_counts) > 1 else time.sql
    return TimeUnit(sql, _NAMES[finest], _PER_SECOND[finest])
