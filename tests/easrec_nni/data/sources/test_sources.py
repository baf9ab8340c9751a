"""RecBole's atomic files, CSV, TSV and Parquet."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from easrec_nni.common.errors import UserError
from easrec_nni.data import PrepareSettings, load_dataset, prepare
from tests.histories import histories

pytestmark = pytest.mark.usefixtures("any_size")  # reading is tested, with a few rows

INTER = """\
user_id:token\titem_id:token\trating:float\ttimestamp:float
u"1\ta\t1\t3
u"1\tb\t5\t1.5
u"1\tc\t4\t2
002\ta\t4\t9
"""
ITEM = """\
item_id:token\ttitle:token_seq\tprice:float\tclass of it:token
a\tbig  red\t3.5\tx
b\tred "\t1\t
c\t\t2\ty
z\tnever\t2\tonly-z
"""


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("by_folder", [True, False])
def test_atomic_files(packed: bool, by_folder: bool, tmp_path: Path) -> None:
    folder = tmp_path / "books"
    folder.mkdir()
    file = folder / ("books.inter" + ".gz" * packed)
    file.write_bytes(gzip.compress(INTER.encode()) if packed else INTER.encode())
    (folder / "books.item").write_text(ITEM)
    dataset = prepare(folder if by_folder else file, tmp_path / "out")
    assert dataset.name == "books"
    assert histories(dataset) == {'u"1': ["b", "c", "a"], "002": ["a"]}
    assert dataset.times.tolist() == [1.5, 2.0, 3.0, 9.0]
    title = dataset.item_features["title"]
    values = {
        str(item): [title.vocabulary[value] for value in title.values[title.offsets[row] : title.offsets[row + 1]]]
        for row, item in enumerate(dataset.item_ids)
    }
    assert values == {"": [], "a": ["big", "red"], "b": ['"', "red"], "c": []}
    assert title.vocabulary == ("", '"', "big", "red"), "values of items without interactions are left out"
    assert dataset.item_features["class_of_it"].vocabulary == ("", "x", "y")
    assert set(dataset.item_features) == {"title", "class_of_it"}
    assert {info.name: info.items_without for info in dataset.manifest.features} == {"title": 1, "class_of_it": 1}


def test_atomic_ratings_and_other_columns(tmp_path: Path) -> None:
    file = tmp_path / "log.inter"
    file.write_text(INTER.replace("item_id", "song"))
    settings = PrepareSettings(min_rating=4, item_column="song")
    with pytest.raises(Exception, match="nothing can be evaluated"):
        prepare(file, tmp_path / "out", settings=settings)
    settings = PrepareSettings(min_rating=1, item_column="song")
    assert prepare(file, tmp_path / "out", settings=settings).manifest.counts.interactions == 4


ROWS = pd.DataFrame(
    {"User": ["007", "7", "7", "7"], "noise": ["a,b", 'c"d', "e\nf", ""], "ASIN": [1, 2, 3, 1], "date": [4, 3, 2, 1]}
)
EXPECTED = {"007": ["1"], "7": ["1", "3", "2"]}

WRITERS: dict[str, Callable[[Path], None]] = {
    "log.csv": lambda path: ROWS.to_csv(path, index=False),
    "log.csv.gz": lambda path: ROWS.to_csv(path, index=False),
    "log.tsv": lambda path: ROWS.to_csv(path, index=False, sep="\t"),
    "log.txt": lambda path: ROWS.to_csv(path, index=False, sep=";"),
    "windows.csv": lambda path: ROWS.to_csv(path, index=False, lineterminator="\r\n", encoding="utf-8-sig"),
    "log.parquet": lambda path: ROWS.to_parquet(path),
}


@pytest.mark.parametrize("name", WRITERS)
def test_tables(name: str, tmp_path: Path) -> None:
    WRITERS[name](tmp_path / name)
    dataset = prepare(tmp_path / name, tmp_path / "out")
    assert histories(dataset) == EXPECTED
    assert dataset.times.tolist() == [4, 1, 2, 3] and dataset.times.dtype == np.int64


def test_columns_by_name_delimiter_and_encoding(tmp_path: Path) -> None:
    text = "wer:was:wann:user\nJos\u00e9:a:1:x\nJos\u00e9:b:2:x\nJos\u00e9:c:3:x\n"
    (tmp_path / "log.dat").write_text(text, encoding="latin-1")
    settings = PrepareSettings(
        user_column="wer", item_column="was", time_column="wann", delimiter=":", encoding="latin-1"
    )
    assert histories(prepare(tmp_path / "log.dat", tmp_path / "out", settings=settings)) == {
        "Jos\u00e9": ["a", "b", "c"]
    }


TIMES: dict[str, list[str]] = {
    "dates": ["2020-01-03", "2020-01-01", "2020-01-02"],
    "utc": ["2020-01-03T00:00:00Z", "2020-01-01T00:00:00Z", "2020-01-02T00:00:00Z"],
    "blank": ["2020-01-03 00:00:00", "2020-01-01 00:00:00", "2020-01-02 00:00:00"],
    "mixed": ["2020-01-03", "2020-01-01T00:00:00Z", "2020-01-02T01:00:00+01:00"],
    "numbers": ["1578009600", " 1577836800", "1577923200.0 "],
}


@pytest.mark.parametrize("kind", TIMES)
def test_times_become_seconds(kind: str, tmp_path: Path) -> None:
    lines = [f"u,{item},{time}" for item, time in zip("abc", TIMES[kind], strict=True)]
    (tmp_path / "log.csv").write_text("\n".join(["user,item,time", *lines]))
    dataset = prepare(tmp_path / "log.csv", tmp_path / "out")
    assert dataset.times.tolist() == [1577836800, 1577923200, 1578009600]
    assert histories(dataset) == {"u": ["b", "c", "a"]}


def test_fractions_of_seconds_and_huge_numbers_keep_their_order(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(
        "user,item,time\nu,a,2020-01-01T00:00:00.75Z\nu,b,2020-01-01T00:00:00.5Z\nu,c,2021-01-01T00:00:00Z\n"
    )
    assert histories(prepare(tmp_path / "a.csv", tmp_path / "one")) == {"u": ["b", "a", "c"]}
    big = 1577836800000000000
    (tmp_path / "b.csv").write_text(f"user,item,time\nu,a,{big + 2}\nu,b,{big + 1}\nu,c,{big}\n")
    assert histories(prepare(tmp_path / "b.csv", tmp_path / "two")) == {"u": ["c", "b", "a"]}


def test_parquet_types(tmp_path: Path) -> None:
    table = pd.DataFrame(
        {
            "user": pd.Categorical(["x", "x", "x", "y"]),
            "item": [3.0, 2.0, 1.0, 1.0],
            "time": pd.to_datetime(["2020-01-03", "2020-01-01", "2020-01-02", "2020-01-02"]),
            "rating": [1.0, 2.0, 3.0, 4.0],
        }
    )
    table.to_parquet(tmp_path / "log.parquet")
    dataset = prepare(tmp_path / "log.parquet", tmp_path / "out", settings=PrepareSettings(min_rating=1))
    assert histories(dataset) == {"x": ["2", "1", "3"], "y": ["1"]}
    assert dataset.times[:2].tolist() == [1577836800, 1577923200]


def test_names_win_over_files_of_that_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("douban").write_text("user,item,time\n" + "u,a,1\nu,b,2\nu,c,3\n")
    with pytest.raises(UserError, match="Kaggle"):
        prepare("douban", "out")
    assert prepare("./douban", "out").n_items == 3
    assert load_dataset("./out").name == "douban"
