"""Times against Python's own reading of them."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from easrec_nni.common.errors import UserError
from easrec_nni.data.engine import Engine
from easrec_nni.data.times import FORMATS, time_column

MOMENTS = [
    datetime.fromtimestamp(int(second), UTC)
    for second in np.random.default_rng(0).integers(86_400 * 365, 2_000_000_000, 40)
]


def read(texts: list[Any], time_format: str | None = None) -> tuple[list[Any], str]:
    """Times of a column, and its detected format."""
    with Engine() as engine:
        engine.register("log", pd.DataFrame({"t": texts}))
        column = time_column(engine, "log", "t", "log.csv", time_format)
        return [row[0] for row in engine.rows(f"SELECT {column.sql} FROM log")], column.format


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_gives_the_seconds_that_python_gives(name: str) -> None:
    texts = [moment.strftime(name) for moment in MOMENTS]
    expected = [int(datetime.strptime(text, name).replace(tzinfo=UTC).timestamp()) for text in texts]
    assert read(texts, name) == (expected, name)


def test_a_format_is_found_where_one_alone_fits() -> None:
    texts = [moment.strftime("%d.%m.%Y %H:%M:%S") for moment in MOMENTS]
    assert read(texts) == ([int(moment.timestamp()) for moment in MOMENTS], "%d.%m.%Y %H:%M:%S")
    with pytest.raises(UserError, match="can be read as .* or as .*: pass --time-format"):
        read(["03/04/2020", "05/06/2020"])


@pytest.mark.parametrize("sign", [1, -1])
def test_whole_numbers_keep_all_digits(sign: int) -> None:
    numbers = [sign * (2**62 + step) for step in range(3)]
    assert read([str(number) for number in numbers]) == (numbers, "numbers")
    assert read(["1.5", "2", "1e3"]) == ([1.5, 2.0, 1000.0], "numbers")


def test_iso_8601_with_and_without_a_zone() -> None:
    texts = ["2020-01-01", "2020-01-01T00:00:00Z", "2020-01-01 02:00:00+02:00", "2020-01-01 00:00:00.25"]
    assert read(texts) == ([1577836800, 1577836800, 1577836800, 1577836800.25], "ISO 8601")


def test_what_is_no_time_is_left_open() -> None:
    assert read(["2020-01-01", "soon", ""]) == ([1577836800, None, None], "ISO 8601")
    assert read(["1", "inf", "nan", "1_000"])[0] == [1, None, None, None]
    with pytest.raises(UserError, match="--time-format '%Q' is not a format"):
        read(["x"], "%Q")


def test_nanoseconds_of_dates_are_kept(tmp_path: Path) -> None:
    texts = ["2024-05-31T12:00:00.1234567Z", "2024-05-31T14:00:00.123456789+02:00", "2024-05-31 12:00:00", "soon"]
    second = 1717156800 * 10**9
    assert read(texts) == ([second + 123456700, second + 123456789, second, None], "ISO 8601")
    assert read(["1969-12-31T23:59:59.9999999Z", "1969-12-31T23:59:59Z"])[0] == [-100, -(10**9)]
    far = read(["2024-05-31T12:00:00.1234567Z", "9999-12-31"])[0]  # beyond 64 bits of nanoseconds
    assert far == [1717156800.123456, 253402214400.0]
    moments = pd.Series([second + 123456789, second + 123456790]).astype("datetime64[ns]")
    frame = pd.DataFrame({"t": moments})
    frame.to_parquet(tmp_path / "log.parquet")
    with Engine() as engine:
        engine.run(f"CREATE TABLE log AS SELECT * FROM read_parquet('{tmp_path / 'log.parquet'}')")
        column = time_column(engine, "log", "t", "log.parquet", None)
        assert column.per_second == 10**9
        assert [row[0] for row in engine.rows(f"SELECT {column.sql} FROM log")] == moments.astype("int64").tolist()


def test_one_number_written_otherwise_takes_no_digits_from_the_others() -> None:
    nanos = 1_700_000_000_123_456_789
    assert read([str(nanos), str(nanos + 1), "1.7e18"])[0] == [nanos, nanos + 1, 1_700_000_000_000_000_000]
    assert read([f"{nanos}.0", f"{nanos + 1}.00", f"{nanos + 2}."])[0] == [nanos, nanos + 1, nanos + 2]


def test_times_of_32_bits_that_have_lost_digits_are_refused() -> None:
    with pytest.raises(UserError, match="2 times are decimal numbers of 32 bits, which have seven digits"):
        read(list(np.array([1.7e9, 1.7e9 + 1000, 5.0], dtype=np.float32)))
    assert read(list(np.array([1.5, 2.5], dtype=np.float32)))[0] == [1.5, 2.5]


def test_years_of_two_digits() -> None:
    assert read(["31/05/23", "01/06/23"]) == ([1685491200, 1685577600], "%d/%m/%y")
