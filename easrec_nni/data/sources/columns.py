"""From columns as they were read to clean interactions: ids, times and ratings are checked here."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from easrec_nni.common.errors import UserError
from easrec_nni.data.manifest import PrepareSettings
from easrec_nni.data.sources.base import RawLog

Column: TypeAlias = pa.ChunkedArray


def clean_log(
    label: str, user: Column, item: Column, time: Column, rating: Column | None, settings: PrepareSettings
) -> RawLog:
    """Check the columns of a log and bring them to the types of `RawLog`.

    Parameters
    ----------
    label : str
        What errors call the file.
    user, item : pyarrow.ChunkedArray, shape [rows]
        Ids of any plain type; missing or empty ones are refused or, if the settings say so, dropped.
    time : pyarrow.ChunkedArray, shape [rows]
        Numbers, dates, or text that holds numbers or ISO 8601 dates (which become seconds since 1970, UTC).
    rating : pyarrow.ChunkedArray or None, shape [rows]
        Numbers or text that holds numbers.
    settings : PrepareSettings
        Of which ``drop_invalid`` is used.

    Returns
    -------
    RawLog
        The interactions, without item features.

    Raises
    ------
    UserError
        If a row has no id, no readable time or no readable rating; with the count and the first such row.
    """
    invalid = np.zeros(len(user), dtype=bool)
    dropped: dict[str, int] = {}

    def refuse_or_drop(bad: NDArray[np.bool_], column: Column, what: str) -> None:
        if not bad.any():
            return
        if not settings.drop_invalid:
            first = int(np.argmax(bad))
            raise UserError(
                f"{label}: {int(bad.sum())} of {len(bad)} rows have no {what}, the first is data row {first + 1} "
                f"({str(column[first].as_py())[:40]!r}): correct them, or pass --drop-invalid to leave them out"
            )
        dropped[f"rows without {what}"] = int((bad & ~invalid).sum())
        invalid[bad] = True

    users, items = _as_text(user, label), _as_text(item, label)
    refuse_or_drop(_missing(user, users), user, "user id")
    refuse_or_drop(_missing(item, items), item, "item id")
    times, bad = parse_times(time)
    refuse_or_drop(bad, time, "readable time")
    columns = {"user": users.to_pandas(), "item": items.to_pandas(), "time": times}
    if rating is not None:
        columns["rating"], bad = parse_numbers(rating)
        refuse_or_drop(bad, rating, "readable rating")
    log = pd.DataFrame(columns)
    return RawLog(log[~invalid] if invalid.any() else log, dropped=dropped)


def parse_numbers(column: Column) -> tuple[NDArray[np.generic], NDArray[np.bool_]]:
    """Numbers in a column, and which rows hold none.

    Parameters
    ----------
    column : pyarrow.ChunkedArray, shape [rows]
        Numbers, or text.

    Returns
    -------
    numbers : ndarray of int64 or float64, shape [rows]
        int64 where all numbers are whole; 0 in bad rows.
    bad : ndarray of bool, shape [rows]
        True where there is no finite number.
    """
    if _is_text(column.type):
        column = pc.utf8_trim_whitespace(column)
    for kind in (pa.int64(), pa.float64()):
        try:
            cast = column.cast(kind)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
            continue
        bad = np.asarray(pc.is_null(cast, nan_is_null=True))
        return _settle(np.asarray(pc.fill_null(cast, 0)), bad)
    numbers = pd.to_numeric(pd.Series(column.to_pandas()), errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
    return _settle(numbers, np.isnan(numbers))


def parse_times(column: Column) -> tuple[NDArray[np.generic], NDArray[np.bool_]]:
    """Times in a column, and which rows hold none.

    Parameters
    ----------
    column : pyarrow.ChunkedArray, shape [rows]
        Numbers (kept in their unit), dates and times, or text that holds either.

    Returns
    -------
    times : ndarray of int64 or float64, shape [rows]
        int64 where all are whole; dates become seconds since 1970-01-01 UTC; 0 in bad rows.
    bad : ndarray of bool, shape [rows]
        True where there is no readable time.
    """
    if pa.types.is_timestamp(column.type) or pa.types.is_date(column.type):
        return _seconds(column)
    if not _is_text(column.type):
        return parse_numbers(column)
    sample = str(next((value.as_py() for value in column if value.is_valid and value.as_py()), ""))
    if sample[:4].isdigit() and sample[4:5] == "-":
        zone = "UTC" if sample.endswith("Z") or "+" in sample else None
        try:
            return _seconds(pc.utf8_trim_whitespace(column).cast(pa.timestamp("us", tz=zone)))
        except pa.ArrowInvalid:
            pass  # One odd row is enough to come here: the slow way below finds which.
    numbers, bad = parse_numbers(column)
    if not bad.any():
        return numbers, bad
    stamps = pd.to_datetime(pd.Series(column.to_pandas()), errors="coerce", format="ISO8601", utc=True)
    dates, bad_dates = _seconds(pa.chunked_array([pa.Array.from_pandas(stamps)]))
    return (dates, bad_dates) if bad_dates.sum() < bad.sum() else (numbers, bad)


def _seconds(column: Column) -> tuple[NDArray[np.generic], NDArray[np.bool_]]:
    zone = column.type.tz if pa.types.is_timestamp(column.type) else None
    micros = column.cast(pa.timestamp("us", tz=zone), safe=False).cast(pa.int64())
    bad = np.asarray(pc.is_null(micros))
    whole = np.asarray(pc.fill_null(micros, 0))
    if not np.any(whole % 1_000_000):
        return whole // 1_000_000, bad
    return whole / 1e6, bad


def _settle(numbers: NDArray[np.generic], bad: NDArray[np.bool_]) -> tuple[NDArray[np.generic], NDArray[np.bool_]]:
    if numbers.dtype.kind == "f":
        bad = bad | ~np.isfinite(numbers)
        numbers = np.where(bad, 0.0, numbers)
        if np.all(numbers == np.floor(numbers)) and np.all(np.abs(numbers) < 2**53):
            numbers = numbers.astype(np.int64)
    return numbers, bad


def _as_text(column: Column, label: str) -> Column:
    try:
        return column.cast(pa.string())
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise UserError(f"{label}: ids of type {column.type} cannot be read: store them as numbers or text") from error


def _missing(column: Column, text: Column) -> NDArray[np.bool_]:
    empty = pc.fill_null(pc.equal(pc.utf8_trim_whitespace(text), ""), True)
    return np.asarray(empty) | np.asarray(pc.is_null(column, nan_is_null=pa.types.is_floating(column.type)))


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))
