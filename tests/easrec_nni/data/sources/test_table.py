"""One log in every form that is read: always the same dataset."""

from __future__ import annotations

import bz2
import gzip
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from pyarrow import feather, parquet
from typer.testing import CliRunner

from easrec_nni.cli.main import app
from easrec_nni.common.errors import UserError
from easrec_nni.data import PrepareSettings, load_dataset, prepare
from easrec_nni.data.sources.table import SUFFIXES
from tests.histories import histories

RNG = np.random.default_rng(11)
ROWS = pd.DataFrame(
    {
        "user_id": [f"Jos\u00e9 {n}" for n in RNG.integers(0, 9, 120)],
        "note": [("a,b", 'c "d"', "e\tf", "", "\u5c71;")[n % 5] for n in range(120)],
        "item_id": RNG.integers(100, 130, 120).astype(str),
        "timestamp": 1_700_000_000 + RNG.integers(0, 90, 120),
    }
)


def expected(rows: pd.DataFrame) -> dict[str, list[str]]:
    """Histories computed by pandas."""
    rows = rows.drop_duplicates(["user_id", "item_id", "timestamp"])
    parts = rows.groupby("user_id", sort=False)
    return {user: part.sort_values("timestamp", kind="stable")["item_id"].tolist() for user, part in parts}


def csv_text(**options: object) -> str:
    return str(ROWS.to_csv(index=False, **options))  # type: ignore[call-overload]


def json_lines() -> str:
    return "".join(json.dumps(row, ensure_ascii=n % 2 == 0) + "\n" for n, row in enumerate(ROWS.to_dict("records")))


def zst(text: str) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, "zstd") as out:
        out.write(text.encode())
    return bytes(sink.getvalue())


def arrow_file(path: Path) -> None:
    feather.write_feather(pa.Table.from_pandas(ROWS), str(path))


WRITERS: dict[str, Callable[[Path], object]] = {
    "log.csv": lambda path: path.write_text(csv_text()),
    "log.tsv": lambda path: path.write_text(csv_text(sep="\t")),
    "pipes.txt": lambda path: path.write_text(csv_text(sep="|")),
    "semicolons.dat": lambda path: path.write_text(csv_text(sep=";")),
    "all-quoted.csv": lambda path: path.write_text(csv_text(quoting=1)),
    "backslash.csv": lambda path: path.write_text(csv_text(doublequote=False, escapechar="\\")),
    "windows.csv": lambda path: path.write_bytes(("\ufeff" + csv_text(lineterminator="\r\n")).encode()),
    "old-mac.csv": lambda path: path.write_bytes(csv_text(lineterminator="\r").encode()),
    "mixed-ends.csv": lambda path: path.write_bytes(csv_text().replace("\n", "\r\n", 40).encode()),
    "empty-lines.csv": lambda path: path.write_text("\n\n" + csv_text().replace("\n", "\n\n") + "\n\n"),
    "utf-16.csv": lambda path: path.write_text(csv_text(), encoding="utf-16"),
    "log.csv.gz": lambda path: path.write_bytes(gzip.compress(csv_text().encode())),
    "two-members.csv.gz": lambda path: path.write_bytes(
        gzip.compress(csv_text().encode()[:1000]) + gzip.compress(csv_text().encode()[1000:])
    ),
    "log.csv.bz2": lambda path: path.write_bytes(bz2.compress(csv_text().encode())),
    "log.csv.zst": lambda path: path.write_bytes(zst(csv_text())),
    "log.jsonl": lambda path: path.write_text(json_lines()),
    "log.json": lambda path: path.write_text(json.dumps(ROWS.to_dict("records"), indent=1)),
    "array-on-a-line.txt": lambda path: path.write_text(json.dumps(ROWS.to_dict("records"))),
    "log.ndjson": lambda path: path.write_text(json_lines()),
    "named-txt.txt": lambda path: path.write_text(json_lines()),
    "log.ndjson.gz": lambda path: path.write_bytes(gzip.compress(json_lines().encode())),
    "log.parquet": lambda path: ROWS.to_parquet(path),
    "log.pq": lambda path: ROWS.to_parquet(path),
    "log.feather": arrow_file,
    "log.ipc": arrow_file,
    "log.arrow": arrow_file,
    "log.inter": lambda path: path.write_text(
        "user_id:token\tnote:token\titem_id:token\ttimestamp:float\n"
        + "".join(f"{u}\t{n!r}\t{i}\t{t}\n" for u, n, i, t in ROWS.itertuples(index=False))
    ),
}


def test_every_ending_that_is_read_is_written_here() -> None:
    assert [suffix for suffix in SUFFIXES if not any(name.endswith(suffix) for name in WRITERS)] == []


@pytest.mark.parametrize("name", WRITERS)
def test_every_form_is_the_same_log(name: str, tmp_path: Path) -> None:
    WRITERS[name](tmp_path / name)
    dataset = prepare(tmp_path / name, tmp_path / "out")
    assert histories(dataset) == expected(ROWS)
    assert list(histories(dataset)) == ROWS["user_id"].unique().tolist(), "numbered as they first appear"
    assert dataset.times.dtype == np.int64
    assert dataset.manifest.understood["rows"].startswith("120 in the file, ")


@pytest.mark.parametrize("encoding", ["latin-1", "cp1252", "gb18030", "utf-16-le", "utf-8-sig"])
def test_named_encodings(encoding: str, tmp_path: Path) -> None:
    rows = ROWS.assign(note="x")
    (tmp_path / "log.csv").write_text(rows.to_csv(index=False), encoding=encoding)
    dataset = prepare(tmp_path / "log.csv", tmp_path / "out", settings=PrepareSettings(encoding=encoding))
    assert histories(dataset) == expected(ROWS)


def parts_of(folder: Path, write: Callable[[pd.DataFrame, Path], object], name: str) -> None:
    folder.mkdir(parents=True)
    for number, start in enumerate(range(0, 120, 50)):
        write(ROWS[start : start + 50], folder / name.format(number))


def to_csv(rows: pd.DataFrame, path: Path) -> None:
    rows.to_csv(path, index=False)


def test_several_files_and_folders_of_parts(tmp_path: Path) -> None:
    parts_of(tmp_path / "csv", to_csv, "part-{:05}.csv")
    files = sorted((tmp_path / "csv").iterdir())
    assert histories(prepare(files, tmp_path / "1", name="parts")) == expected(ROWS)
    assert histories(prepare(str(tmp_path / "csv" / "part-*.csv"), tmp_path / "2", name="parts")) == expected(ROWS)
    (tmp_path / "csv" / "_SUCCESS").write_text("")
    (tmp_path / "csv" / ".part-00000.csv.crc").write_bytes(b"\0")
    assert histories(prepare(tmp_path / "csv", tmp_path / "3")) == expected(ROWS)
    parts_of(tmp_path / "spark", lambda rows, path: rows.to_parquet(path), "part-{:05}-c000.snappy.parquet")
    assert histories(prepare(tmp_path / "spark", tmp_path / "4")) == expected(ROWS)
    parts_of(tmp_path / "arrows", lambda rows, path: feather.write_feather(rows, str(path)), "{}.arrow")
    assert histories(prepare(tmp_path / "arrows", tmp_path / "5")) == expected(ROWS)
    hive = PrepareSettings(header=False, user_column="1", item_column="3", time_column="4")
    plain = ROWS.assign(note=["a", "b"] * 60)
    (tmp_path / "hive").mkdir()
    for number, start in enumerate(range(0, 120, 50)):
        text = plain[start : start + 50].to_csv(sep="\x01", header=False, index=False)
        (tmp_path / "hive" / f"{number:06}_0").write_text(text)
    assert histories(prepare(tmp_path / "hive", tmp_path / "6", settings=hive)) == expected(ROWS)


def test_partition_columns_that_are_not_read_are_named(tmp_path: Path) -> None:
    for month, start in ((1, 0), (2, 60)):
        folder = tmp_path / "log" / f"month={month}" / "country=se"
        folder.mkdir(parents=True)
        ROWS[start : start + 60].to_parquet(folder / "part-0.parquet")
    result = CliRunner().invoke(app, ["prepare", str(tmp_path / "log"), "--out", str(tmp_path / "out")])
    assert result.exit_code == 0 and histories(load_dataset(tmp_path / "out")) == expected(ROWS)
    assert "partition columns in the names of folders are not read: country, month" in " ".join(result.output.split())


def test_parts_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    parts_of(tmp_path / "csv", to_csv, "part-{}.csv")
    (tmp_path / "csv" / "part-1.csv").write_text("user_id,item_id,timestamp,note\na,b,1,c\n")
    with pytest.raises(UserError, match="part-1.csv has another header than part-0.csv"):
        prepare(tmp_path / "csv", tmp_path / "out")
    (tmp_path / "csv" / "part-1.csv").unlink()
    (tmp_path / "csv" / "more.parquet").write_bytes(b"x")
    with pytest.raises(UserError, match="files of several kinds .*csv, .parquet"):
        prepare(tmp_path / "csv", tmp_path / "out")
    with pytest.raises(UserError, match="no file is called"):
        prepare(str(tmp_path / "nothing-*.csv"), tmp_path / "out", name="x")
    ROWS.to_parquet(tmp_path / "a.parquet")
    ROWS[["item_id", "user_id", "timestamp"]].to_parquet(tmp_path / "b.parquet")
    with pytest.raises(UserError, match="b.parquet has other columns than a.parquet"):
        prepare([tmp_path / "a.parquet", tmp_path / "b.parquet"], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_recbole_parts_are_joined(tmp_path: Path) -> None:
    (tmp_path / "shop").mkdir()
    header = "user_id:token\titem_id:token\ttimestamp:float\n"
    rows = [(f"u{n % 3}", f"i{n % 8}", n) for n in range(30)]
    for part, part_rows in (("train", rows[:20]), ("valid", rows[20:25]), ("test", rows[25:])):
        text = header + "".join(f"{user}\t{item}\t{time}\n" for user, item, time in part_rows)
        (tmp_path / "shop" / f"shop.{part}.inter").write_text(text)
    dataset = prepare(tmp_path / "shop", tmp_path / "out")
    assert len(dataset.items) == 30 and dataset.times.tolist() == sorted(range(30), key=lambda n: (n % 3, n))
    (tmp_path / "shop" / "shop.test.inter").write_text("item_id:token\tuser_id:token\ttimestamp:float\n")
    with pytest.raises(UserError, match="has other columns"):
        prepare(tmp_path / "shop", tmp_path / "other")


PAIRS = [(n % 4 + 1, (n * 7) % 11 + 1) for n in range(40)]


@pytest.mark.parametrize("header", ["", "user item\n"])
def test_sasrec_pairs(header: str, tmp_path: Path) -> None:
    (tmp_path / "Toys.txt").write_text(header + "".join(f"{user} {item}\n" for user, item in PAIRS))
    dataset = prepare(tmp_path / "Toys.txt", tmp_path / "out", settings=PrepareSettings(order_is_time=True))
    plain: dict[str, list[str]] = {}
    for user, item in PAIRS:
        plain.setdefault(str(user), []).append(str(item))
    assert histories(dataset) == plain


@pytest.mark.parametrize("name", ["Beauty.txt", "Beauty.txt.gz"])
def test_lines_of_items(name: str, tmp_path: Path) -> None:
    lines = {str(user): [str((user * 5 + step) % 12 + 1) for step in range(4 + user % 3)] for user in range(1, 9)}
    text = "".join(f"{user} {' '.join(items)}\n" for user, items in lines.items()).encode()
    (tmp_path / name).write_bytes(gzip.compress(text) if name.endswith(".gz") else text)
    local = prepare(tmp_path / name, tmp_path / "local", settings=PrepareSettings(order_is_time=True))
    assert histories(local) == lines
    named = prepare("amazon-beauty", tmp_path / "named", path=tmp_path)
    assert histories(named) == lines and named.fingerprint == local.fingerprint and named.name == "amazon-beauty"
    with pytest.raises(UserError, match="pass it with --path"):
        prepare("amazon-sports", tmp_path / "none")


def test_a_user_without_items_is_refused(tmp_path: Path) -> None:
    (tmp_path / "Beauty.txt").write_text("1 2 3 4 5\n2\n3 1 2 3\n")
    with pytest.raises(UserError, match="1 lines have a user without items"):
        prepare("amazon-beauty", tmp_path / "out", path=tmp_path)


@pytest.mark.parametrize(
    ("lines", "what"),
    [
        ("1 4 5 6\n2 4 5\n3 6 4 5 4 4\n", "a user and all its items"),
        ("1,4,5,6\n2,4,5\n3,6,4,5,4,4\n", "a user and all its items"),
        ("1 4\n1 5\n2 6\n", "a user and an item"),
        ("1\t4\n1\t5\n2\t6\n", "a user and an item"),
    ],
)
def test_lines_without_times_are_told_with_the_option_that_reads_them(tmp_path: Path, lines: str, what: str) -> None:
    (tmp_path / "log.txt").write_text(lines * 3)
    with pytest.raises(UserError, match=f"header is missing.*: pass --order-is-time if a line is {what}, in the order"):
        prepare(tmp_path / "log.txt", tmp_path / "out")
    assert prepare(tmp_path / "log.txt", tmp_path / "out", settings=PrepareSettings(order_is_time=True)).n_items == 3


def test_lines_with_times_are_not_taken_for_lines_without(tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_text("1,4,881250949\n1,5,881250950\n2,4,881250951\n")
    with pytest.raises(UserError, match=r"header is missing \(1: '1', 2: '4', 3: '881250949'\): pass --no-header"):
        prepare(tmp_path / "log.csv", tmp_path / "out")


def test_blanks_within_values_are_no_delimiter(tmp_path: Path) -> None:
    # Foursquare's check-ins: the date and some venues have more blanks than the line has tabs.
    lines = [
        f"{user}\tv{venue}\tArts & Crafts Store\tTue Apr 0{user + 1} 18:0{venue}:00 +0000 2012\n"
        for user in range(3)
        for venue in range(4)
    ]
    (tmp_path / "checkins.txt").write_text("".join(lines))
    settings = PrepareSettings(header=False, user_column="1", item_column="2", time_column="4")
    dataset = prepare(tmp_path / "checkins.txt", tmp_path / "out", settings=settings)
    assert histories(dataset) == {str(user): [f"v{venue}" for venue in range(4)] for user in range(3)}
    blanks = "".join(line.replace("Arts & Crafts ", "").replace("\t", " ") for line in lines)
    (tmp_path / "blanks.txt").write_text(blanks)
    settings = PrepareSettings(header=False, user_column="1", item_column="2", order_is_time=True)
    assert histories(prepare(tmp_path / "blanks.txt", tmp_path / "blanks", settings=settings)) == histories(dataset)


def test_without_a_header(tmp_path: Path) -> None:
    text = csv_text(header=False)
    (tmp_path / "log.csv").write_text(text)
    by_number = PrepareSettings(header=False, user_column="1", item_column="3", time_column="4")
    assert histories(prepare(tmp_path / "log.csv", tmp_path / "out", settings=by_number)) == expected(ROWS)
    first = text.splitlines()[0].split(",")
    named = PrepareSettings(user_column=first[0], item_column=first[-2], time_column=first[-1])
    for settings in (PrepareSettings(), named):
        with pytest.raises(UserError, match="the first line looks like data, so the header is missing.*--no-header"):
            prepare(tmp_path / "log.csv", tmp_path / "other", settings=settings)
    words = "ann,tea,x\nann,milk,x\nbob,tea,x\nbob,soup,x\n"
    (tmp_path / "words.csv").write_text(words)
    settings = PrepareSettings(user_column="ann", item_column="tea", order_is_time=True)
    with pytest.raises(UserError, match="'ann' is the name of the user column and the id of 1 rows.*--no-header"):
        prepare(tmp_path / "words.csv", tmp_path / "other", settings=settings)


def test_columns_whose_names_are_numbers(tmp_path: Path) -> None:
    rows = ROWS.drop(columns="note").set_axis(["0", "1", "2"], axis=1)
    rows.to_csv(tmp_path / "log.csv", index=False)
    named = PrepareSettings(user_column="0", item_column="1", time_column="2")
    with pytest.raises(UserError, match="or --header if these are names"):
        prepare(tmp_path / "log.csv", tmp_path / "out", settings=named)
    dataset = prepare(tmp_path / "log.csv", tmp_path / "out", settings=named.model_copy(update={"header": True}))
    assert histories(dataset) == expected(ROWS)


def test_a_pipe_and_further_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EASREC_HOME", str(tmp_path / "home"))
    done = CliRunner().invoke(app, ["prepare", "-", "--name", "piped"], input=csv_text().encode())
    assert done.exit_code == 0, done.output
    assert histories(load_dataset("piped")) == expected(ROWS)
    done = CliRunner().invoke(app, ["prepare", "-"], input=csv_text().encode())
    assert done.exit_code == 2 and "choose one with --name" in done.output
    to_csv(ROWS[:70], tmp_path / "a.csv")
    to_csv(ROWS[70:], tmp_path / "b.csv")
    done = CliRunner().invoke(app, ["prepare", str(tmp_path / "a.csv"), "--also", str(tmp_path / "b.csv")])
    assert done.exit_code == 0, done.output
    assert histories(load_dataset("a")) == expected(ROWS)


def test_types_of_parquet_are_kept_as_text_has_them(tmp_path: Path) -> None:
    when = pd.to_datetime(ROWS["timestamp"], unit="s")
    table = pa.table(
        {
            "user_id": pa.array(ROWS["user_id"]).dictionary_encode(),
            "item_id": pa.array(ROWS["item_id"].astype(float)),
            "timestamp": pa.array(when, pa.timestamp("ns", tz="Asia/Tokyo")),
        }
    )
    parquet.write_table(table, tmp_path / "log.parquet")
    dataset = prepare(tmp_path / "log.parquet", tmp_path / "out")
    assert histories(dataset) == expected(ROWS)
    assert dataset.times.min() == ROWS["timestamp"].min()
    large = pa.table({"user_id": [2.0**53, 1.0], "item_id": ["a", "b"], "timestamp": [1, 2]})
    parquet.write_table(large, tmp_path / "large.parquet")
    with pytest.raises(UserError, match="1 user ids are decimal numbers too large to have all their digits"):
        prepare(tmp_path / "large.parquet", tmp_path / "none")


def test_lines_of_python_are_said_to_be_no_json(tmp_path: Path) -> None:
    (tmp_path / "steam.json").write_text("{u'user_id': u'p0', u'item_id': u'14', u'date': u'2017-06-11'}\n")
    with pytest.raises(UserError, match="objects of Python instead of JSON"):
        prepare(tmp_path / "steam.json", tmp_path / "out")


@pytest.mark.parametrize("settings", [PrepareSettings(), PrepareSettings(time_column="time")])
def test_two_columns_of_one_name_are_refused(tmp_path: Path, settings: PrepareSettings) -> None:
    (tmp_path / "log.csv").write_text("user,item,time,time\n" + "".join(f"u{n % 3},i{n},{n},{-n}\n" for n in range(12)))
    with pytest.raises(UserError, match=r"log.csv has 2 columns named 'time': give all but one of them another name"):
        prepare(tmp_path / "log.csv", tmp_path / "out", settings=settings)
    (tmp_path / "log.csv").write_text("user,item,time,x,x\n" + "".join(f"u{n % 3},i{n},{n},a,b\n" for n in range(12)))
    assert prepare(tmp_path / "log.csv", tmp_path / "out", settings=settings).n_users == 3


def test_a_comment_above_the_header(tmp_path: Path) -> None:
    rows = "".join(f"u{n % 3},i{n},{n}\n" for n in range(12))
    (tmp_path / "log.csv").write_text(f"# exported by the shop\nuser,item,time\n{rows}")
    with pytest.raises(
        UserError, match="The first line, '# exported by the shop', is a comment, not a header: delete it"
    ):
        prepare(tmp_path / "log.csv", tmp_path / "out")


@pytest.mark.parametrize("settings", [PrepareSettings(user_column="item"), PrepareSettings(item_column="user")])
def test_one_column_cannot_be_user_and_item(tmp_path: Path, settings: PrepareSettings) -> None:
    (tmp_path / "log.csv").write_text("user,item,time\n" + "".join(f"u{n % 3},i{n},{n}\n" for n in range(12)))
    with pytest.raises(UserError, match="is both user and item: name another with --user-column or --item-column"):
        prepare(tmp_path / "log.csv", tmp_path / "out", settings=settings)
    assert not (tmp_path / "out").exists()


def test_lists_and_rounded_numbers_are_no_ids(tmp_path: Path) -> None:
    file, settings = tmp_path / "log.jsonl", PrepareSettings()
    rows = [{"user": ["u5", f"u{n}"], "item": f"i{n % 4}", "time": n} for n in range(20)]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(
        UserError, match=r'20 user ids are lists or objects, such as \["u5","u0"\]: write a row for each'
    ):
        prepare(file, tmp_path / "out", settings=settings)
    pd.DataFrame(rows).to_csv(tmp_path / "log.csv", index=False)
    with pytest.raises(UserError, match="20 user ids are lists or objects, such as \\['u5', 'u0'\\]"):
        prepare(tmp_path / "log.csv", tmp_path / "out", settings=settings)
    file.write_text("".join(f'{{"user": {2**53 + n % 4}.0, "item": {n % 5}, "time": {n}}}\n' for n in range(20)))
    with pytest.raises(UserError, match="20 user ids are decimal numbers too large to have all their digits"):
        prepare(file, tmp_path / "out", settings=settings)
    file.write_text("".join(f'{{"user": {2**53 + n % 4}, "item": {n % 5}.0, "time": {n}}}\n' for n in range(20)))
    assert sorted(histories(prepare(file, tmp_path / "out", settings=settings))) == [str(2**53 + n) for n in range(4)]


def test_the_order_of_the_rows_and_a_time_exclude_each_other(tmp_path: Path) -> None:
    ROWS.to_csv(tmp_path / "log.csv", index=False)
    for column in ("time_column", "clock_column"):
        settings = PrepareSettings.model_validate({"order_is_time": True, column: "time"})
        with pytest.raises(UserError, match="--order-is-time and a time column exclude each other"):
            prepare(tmp_path / "log.csv", tmp_path / "out", settings=settings)


def test_columns_between_colons(tmp_path: Path) -> None:
    lines = [f"u{user}::tea, {time}::{time}" for user in range(4) for time in range(5)]
    (tmp_path / "log.dat").write_text("user::item::time\n" + "\n".join(lines) + "\n")
    dataset = prepare(tmp_path / "log.dat", tmp_path / "out", settings=PrepareSettings())
    assert histories(dataset) == {f"u{user}": [f"tea, {time}" for time in range(5)] for user in range(4)}
    with pytest.raises(UserError, match=r"the header is missing \(1: 'u0', 2: 'tea, 0', 3: '0'\)"):
        (tmp_path / "log.dat").write_text("\n".join(lines) + "\n")
        prepare(tmp_path / "log.dat", tmp_path / "other")


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress])
def test_compressed_files_under_a_plain_name(pack: Callable[[bytes], bytes], tmp_path: Path) -> None:
    ROWS.to_csv(tmp_path / "plain.csv", index=False)
    (tmp_path / "packed.csv").write_bytes(pack((tmp_path / "plain.csv").read_bytes()))
    plain, packed = (prepare(tmp_path / f"{name}.csv", tmp_path / name) for name in ("plain", "packed"))
    assert packed.fingerprint == plain.fingerprint


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"PK\x03\x04rest", "log.csv is a workbook or an archive: save it as CSV"),
        ("user,item,time\na,b,1\n".encode("utf-16-le"), "pass --encoding utf-16-le"),
        ("user,item,time\na,b,1\n".encode("utf-16-be"), "pass --encoding utf-16-be"),
        ("user,item,time\nus\u00e9r,b,1\n".encode("cp1252"), "pass its --encoding, such as cp1252"),
        (b"sep=;\nuser;item;time\na;b;1\n", "The first line is a note for Excel"),
        (b"user,item,time\na,b,soon\na,c,later\n", "2 of 2 rows have no readable time.*choose another column; times"),
    ],
)
def test_files_of_other_kinds_are_told_apart(content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_bytes(content)
    with pytest.raises(UserError, match=message):
        prepare(tmp_path / "log.csv", tmp_path / "out")
