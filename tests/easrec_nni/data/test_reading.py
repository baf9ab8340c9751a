"""Generated logs, read by the product and by plain pandas; and files of any bytes."""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import json
import re
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from easrec_nni.common.errors import UserError
from easrec_nni.data import Dataset, PrepareSettings, prepare
from easrec_nni.data.reading import MISSING_WORDS
from tests.histories import histories

pytestmark = pytest.mark.usefixtures("any_size")

# Ids as people have them: numbers, any script, quotes, delimiters, blanks, ends of lines, what looks like code.
ODD = [
    "",
    " ",
    "0",
    "00",
    "1e5",
    "1.0",
    "-1",
    "a,b",
    'say "hi"',
    '"',
    '""',
    "'",
    "a\tb",
    "x;y",
    " lead",
    "trail ",
    "\u5c71",
]
ODD += [
    "NULL",
    "nan",
    "None",
    "\\N",
    "NA",
    "#1",
    "\\",
    "a\\",
    "=1+1",
    "'; drop",
    "e\u0301",
    "\xe9",
    "two\nlines",
    "\u3000",
    "\x85x",
]
IDS = st.one_of(
    st.sampled_from(ODD),
    st.integers(0, 5).map(str),
    st.text(st.characters(blacklist_categories=("Cs",), blacklist_characters="\0\r\x01"), min_size=1, max_size=6),
)
UNITS = {"plain": 0, "s": 1_700_000_000, "ms": 1_700_000_000_000, "ns": 1_700_000_000_000_000_000}


@dataclass(frozen=True)
class Log:
    """Rows as text, with the settings that decide how they are written and read."""

    rows: list[tuple[str, str, str]]
    form: str
    drop_invalid: bool
    newest_first: bool
    normalize: str


@st.composite
def logs(draw: st.DrawFn) -> Log:
    start = UNITS[draw(st.sampled_from(sorted(UNITS)))]
    kind = draw(st.sampled_from(["whole", "decimal", "iso"]))
    ids = draw(st.lists(IDS, min_size=2, max_size=5)), draw(st.lists(IDS, min_size=2, max_size=6))

    def time() -> str:
        step = draw(st.integers(0, 6))
        if kind == "iso":
            return str(pd.Timestamp("2024-01-01") + pd.Timedelta(hours=step)) + draw(
                st.sampled_from(["", "Z", "+01:00"])
            )
        if kind == "decimal" and start < 10**12:
            return f"{start + step}.{draw(st.sampled_from(['0', '5']))}"
        return str(start + step)

    size = draw(st.integers(1, 25))
    rows = [(draw(st.sampled_from(ids[0])), draw(st.sampled_from(ids[1])), time()) for _ in range(size)]
    bad = draw(st.lists(st.tuples(st.integers(0, size - 1), st.sampled_from(["", "soon", "inf", "1_0"])), max_size=2))
    for place, text in bad:
        rows[place] = (*rows[place][:2], text)
    return Log(
        rows,
        draw(st.sampled_from(sorted(FORMS))),
        draw(st.booleans()),
        draw(st.booleans()),
        draw(st.sampled_from(["none", "none", "trim", "lower"])),
    )


def csv_of(log: Log, **options: Any) -> str:
    out = io.StringIO()
    writer = csv.writer(out, **options)
    writer.writerows([("user", "item", "time"), *log.rows])
    return out.getvalue()


FORMS: dict[str, Callable[[Log], bytes]] = {
    "a.csv": lambda log: csv_of(log, lineterminator="\n").encode(),
    "quoted.csv": lambda log: csv_of(log, lineterminator="\r\n", quoting=csv.QUOTE_ALL).encode(),
    "a.tsv": lambda log: csv_of(log, lineterminator="\n", delimiter="\t").encode("utf-8-sig"),
    "utf-16.csv": lambda log: csv_of(log, lineterminator="\n", delimiter=";").encode("utf-16"),
    "a.csv.gz": lambda log: gzip.compress(csv_of(log, lineterminator="\n").encode()),
    "a.csv.bz2": lambda log: bz2.compress(csv_of(log, lineterminator="\n").encode()),
    "a.jsonl": lambda log: "".join(
        json.dumps(dict(zip(("user", "item", "time"), row, strict=True))) + "\n" for row in log.rows
    ).encode(),
    "a.json": lambda log: json.dumps(
        [dict(zip(("user", "item", "time"), row, strict=True)) for row in log.rows], ensure_ascii=False, indent=1
    ).encode(),
    "a.parquet": lambda log: parquet_of(log),
}


def parquet_of(log: Log) -> bytes:
    out = io.BytesIO()
    pd.DataFrame(log.rows, columns=["user", "item", "time"], dtype="str").to_parquet(out)
    return out.getvalue()


def by_pandas(log: Log) -> tuple[dict[str, list[str]], dict[str, int]] | None:
    """Histories and drop counts by pandas; None where the log is to be refused."""
    rows = pd.DataFrame(log.rows, columns=["user", "item", "time"], dtype="object")
    numbers = pd.to_numeric(rows["time"].where(~rows["time"].str.contains("_")), errors="coerce")
    numbers = numbers.where(np.isfinite(numbers.to_numpy(dtype=float)))
    whole = rows["time"].str.fullmatch(r"\d+")
    if (whole | numbers.isna()).all():  # floats have not all digits of nanoseconds
        numbers = pd.Series(
            [int(text) if ok else None for text, ok in zip(rows["time"], whole, strict=True)], dtype="object"
        )
    dates = pd.to_datetime(rows["time"], errors="coerce", format="ISO8601", utc=True)
    dates = dates.where(rows["time"].str.contains("-"))
    times = dates if dates.notna().sum() > numbers.notna().sum() else numbers
    dropped: dict[str, int] = {}
    left = pd.Series(True, index=rows.index)
    for role in ("user", "item"):
        ids = rows[role]
        ids = ids if log.normalize == "none" else ids.str.strip(BLANKS)
        ids = ids.str.lower() if log.normalize == "lower" else ids
        words = {word.lower() for word in MISSING_WORDS} if log.normalize == "lower" else set(MISSING_WORDS)
        missing = (ids.str.strip(BLANKS) == "") | ids.isin(words)
        rows[role] = ids
        dropped[f"rows without {role} id"] = int((missing & left).sum())
        left &= ~missing
    dropped["rows without readable time"] = int((times.isna() & left).sum())
    left &= times.notna()
    if not log.drop_invalid and not left.all():
        return None
    remaining = rows.assign(time=times)[left]
    remaining = remaining[::-1] if log.newest_first else remaining
    again = remaining.duplicated(["user", "item", "time"])
    dropped["rows that repeat user, item and time of another"] = int(again.sum())
    remaining = remaining[~again].sort_values("time", kind="stable")
    order = rows[left]["user"].unique()
    histories = {user: remaining[remaining["user"] == user]["item"].tolist() for user in order}
    return histories, {reason: count for reason, count in dropped.items() if count}


BLANKS = "\t\n\x0b\x0c\r \x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000" + "".join(map(chr, range(0x2000, 0x200B)))


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(logs())
def test_random_logs_are_read_as_pandas_reads_them(log: Log) -> None:
    expected = by_pandas(log)
    prepare_settings = PrepareSettings(
        drop_invalid=log.drop_invalid,
        newest_first=log.newest_first,
        normalize_ids=log.normalize,  # type: ignore[arg-type]
    )
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / log.form
        file.write_bytes(FORMS[log.form](log))
        try:
            dataset = prepare(file, Path(folder) / "out", settings=prepare_settings, name="log")
        except UserError as error:
            may = "no interaction is left|no user has 3 interactions|one item alone|quotation marks enclose values"
            assert expected is None or re.search(may, error.message), (error.message, expected)
            event("refused as pandas would" if expected is None else re.search(may, error.message).group())  # type: ignore[union-attr]
            return
        event("read")
        assert expected is not None, "rows without id or time were let in"
        assert histories(dataset) == expected[0]
        assert dataset.manifest.dropped == expected[1]
        assert len(dataset.items) + sum(dataset.manifest.dropped.values()) == len(log.rows)


ENDINGS = (
    ".csv",
    ".tsv",
    ".txt",
    ".csv.gz",
    ".csv.bz2",
    ".csv.zst",
    ".jsonl",
    ".json",
    ".inter",
    ".parquet",
    ".feather",
)
TEXTS = (".csv", ".tsv", ".txt", ".jsonl", ".inter")
MARKS = [b'"', b"\n", b"\r", b",", b"\t", b"\0", b"\xff", b"{", b"}", b"5", b"x", b" ", b"u1,i1,7\n", b"\xc3\xa9", b"'"]
GOOD = "user,item,time\n" + "".join(f"u{n % 3},i{n % 5},{n}\n" for n in range(24))


def good_bytes(ending: str) -> bytes:
    """Bytes of a log of 24 rows in some form."""
    rows = [line.split(",") for line in GOOD.splitlines()]
    frame = pd.DataFrame(rows[1:], columns=rows[0])
    if ending in (".parquet", ".feather"):
        out = io.BytesIO()
        getattr(frame, f"to_{ending[1:]}")(out)
        return out.getvalue()
    if ending == ".inter":
        return ("user_id:token,item_id:token,timestamp:float\n" + GOOD.split("\n", 1)[1]).replace(",", "\t").encode()
    if ending in (".jsonl", ".json"):
        return frame.to_json(orient="records", lines=ending == ".jsonl").encode()
    text = (GOOD.replace(",", "\t") if ending == ".tsv" else GOOD).encode()
    packers = {".gz": gzip.compress, ".bz2": bz2.compress, ".zst": zst}
    return packers[ending[-4:].lstrip("v")](text) if ending.count(".") > 1 else text


def zst(content: bytes) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, "zstd") as out:
        out.write(content)
    return bytes(sink.getvalue())


@st.composite
def changed_files(draw: st.DrawFn) -> tuple[str, bytes]:
    """File of any form, with bytes replaced, inserted, removed or truncated."""
    ending = draw(st.sampled_from(ENDINGS + TEXTS * 3))
    content = bytearray(good_bytes(ending))
    bits = st.one_of(st.binary(max_size=4), st.sampled_from(MARKS))
    for _ in range(draw(st.sampled_from([1, 1, 2, 4]))):
        place = draw(st.integers(0, len(content)))
        end = min(len(content), place + draw(st.sampled_from([0, 0, 1, 1, 2, 6])))
        content[place:end] = draw(bits)
    if draw(st.integers(0, 4)) == 0:
        del content[draw(st.integers(0, len(content))) :]
    return ending, bytes(content)


def told_rows(dataset: Dataset) -> int:
    return int(dataset.manifest.understood["rows"].split()[0])


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(changed_files(), st.sampled_from([True, True, False]), st.sampled_from([None, None, True, False]))
def test_changed_files_are_read_whole_or_refused_in_a_line(
    changed: tuple[str, bytes], drop_invalid: bool, header: bool | None
) -> None:
    ending, content = changed
    columns = {"user_column": "1", "item_column": "2", "time_column": "3"} if header is False else {}
    prepare_settings = PrepareSettings.model_validate({"drop_invalid": drop_invalid, "header": header, **columns})
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / f"log{ending}"
        file.write_bytes(content)
        try:
            dataset = prepare(file, Path(folder) / "out", settings=prepare_settings)
        except UserError as error:
            assert "\n" not in error.message and len(error.message) < 1200
            assert [path.name for path in Path(folder).iterdir()] == [file.name]
            event("refused")
            return
        event("read")
        assert len(dataset.items) + sum(dataset.manifest.dropped.values()) == told_rows(dataset)
        if ending in (".csv", ".tsv", ".txt", ".inter"):
            text = content.decode("utf-16" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8")
            lines = [line for line in re.split("\r\n|\n|\r", text.removeprefix("\ufeff")) if line]
            quoted_ends = 0 if ending == ".inter" or '"' not in text else text.count("\n") + text.count("\r")
            there = len(lines) - (header is not False or ending == ".inter")
            assert there - quoted_ends <= told_rows(dataset) <= there
        if ending in (".jsonl", ".parquet", ".feather"):
            assert told_rows(dataset) <= 25


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.sampled_from(ENDINGS), st.binary(max_size=200), st.booleans())
def test_any_bytes(ending: str, content: bytes, behind_a_header: bool) -> None:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / f"log{ending}"
        file.write_bytes((b"user,item,time\n" if behind_a_header else b"") + content)
        try:
            prepare(file, Path(folder) / "out", settings=PrepareSettings(order_is_time=behind_a_header))
        except UserError as error:
            assert "\n" not in error.message
