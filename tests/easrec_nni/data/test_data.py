"""Mistakes of a user: each ends in one line with the fix, and nothing is written."""

from __future__ import annotations

import gzip
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from easrec_nni.common.errors import UserError
from easrec_nni.data import PrepareSettings, prepare

GOOD = "user,item,time\n" + "".join(f"u{row % 2},i{row},{row}\n" for row in range(10))
TYPED = "user_id:token\titem_id:token\ttimestamp:float\n"

BAD_FILES: dict[str, tuple[str, bytes, str]] = {
    "empty": ("log.csv", b"", "is empty"),
    "blank": ("log.csv", b"\n\n", "is empty"),
    "header only": ("log.csv", b"user,item,time\n", "no interactions below its header"),
    "header without end of line": ("log.csv", b"user,item,time", "no interactions below its header"),
    "no time column": ("log.csv", b"user,item,when\n1,2,3\n", "--time-column, there are 'user', 'item', 'when'"),
    "words for times": (
        "log.csv",
        b"user,item,time\na,b,1\na,c,soon\na,d,\n",
        r"2 of 3 rows have no readable time, the first is data row 2 \('soon'\).*--drop-invalid",
    ),
    "one bad date": ("log.csv", b"user,item,time\na,b,2020-01-01\na,c,2020-13-01\n", r"data row 2 \('2020-13-01'\)"),
    "infinite time": ("log.csv", b"user,item,time\na,b,inf\na,c,1\n", "1 of 2 rows have no readable time"),
    "no user": ("log.csv", b"user,item,time\na,b,1\n,c,2\n , d,3\n", "2 of 3 rows have no user id.*data row 2"),
    "no item": ("log.csv", b"user,item,time\na,,1\na,b,2\n", "1 of 2 rows have no item id.*data row 1"),
    "ragged": ("log.csv", b"user,item,time\na,b,1\na,b\n", "cannot read log.csv: .*Expected 3 columns, got 2"),
    "one-item users": ("log.csv", b"user,item,time\na,b,1\nc,d,2\ne,b,3\n", "no user has 3 interactions"),
    "sessions of three": (
        "log.csv",
        b"user,item,time\n" + b"".join(b"%d,%d,1\n" % (user, user + n) for user in range(9) for n in range(3)),
        "no user has two interactions to train on.* 4 interactions",
    ),
    "one user": ("log.csv", b"user,item,time\n" + b"".join(b"a,%d,1\n" % n for n in range(9)), "one user alone has 3"),
    "one user of many": (
        "log.csv",
        b"user,item,time\n" + b"".join(b"a,%d,1\n%d,0,1\n" % (n, n) for n in range(9)),
        "one user alone has 3 interactions, and two are needed.*check the user column",
    ),
    "one item": (
        "log.csv",
        b"user,item,time\n" + b"".join(b"%d,a,%d\n" % (n % 2, n) for n in range(12)),
        "one item alone.*check the item column",
    ),
    "wrong encoding": ("log.csv", "user,item,time\nJos\u00e9,b,1\n".encode("latin-1"), "not utf-8 text.*--encoding"),
    "late wrong encoding": ("log.csv", b"user,item,time\n" + b"a,b,1\n" * 300_000 + b"\xe9,b,1\n", "not utf-8 text"),
    "binary": ("log.csv", bytes(range(128, 256)) * 10, "not utf-8 text"),
    "no gzip": ("log.csv.gz", GOOD.encode(), "broken or incomplete"),
    "cut gzip": ("log.csv.gz", gzip.compress(GOOD.encode() * 100)[:-40], "broken or incomplete"),
    "changed gzip": ("log.csv.gz", gzip.compress(GOOD.encode())[:-8] + b"\0" * 8, "broken or incomplete"),
    "no parquet": ("log.parquet", GOOD.encode(), "cannot read log.parquet"),
    "archive": ("log.zip", b"PK", "is an archive: unpack it"),
    "untyped header": ("log.inter", b"user_id\titem_id\ttimestamp\n1\t2\t3\n", "'user_id' has no type"),
    "unknown type": ("log.inter", b"user_id:int\titem_id:token\ttimestamp:float\n1\t2\t3\n", "has no type"),
    "atomic without time": (
        "log.inter",
        b"user_id:token\titem_id:token\n1\t2\n",
        "no column timestamp, its columns are user_id, item_id.*--time-column",
    ),
    "atomic histories": (
        "log.inter",
        b"user_id:token\titem_id_list:token_seq\titem_id:token\ttimestamp:float\n1\t2 3\t4\t5\n",
        "whole history in each row .item_id_list., as RecBole's benchmark files have",
    ),
    "atomic header only": ("log.inter", TYPED.encode(), "no interactions below its header"),
    "atomic times": ("log.inter", (TYPED + "a\tb\tx\n").encode(), "1 of 1 rows have no readable time"),
}


@pytest.mark.parametrize("case", BAD_FILES)
def test_bad_file(case: str, tmp_path: Path) -> None:
    name, content, message = BAD_FILES[case]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=message) as caught:
        prepare(tmp_path / name, tmp_path / "new" / "out")
    assert "\n" not in caught.value.message and len(caught.value.message) < 500
    assert [path.name for path in tmp_path.iterdir()] == [name], "nothing is written"


BAD_SETTINGS: dict[str, tuple[PrepareSettings, str]] = {
    "encoding": (PrepareSettings(encoding="utf-99"), "unknown encoding 'utf-99': pass --encoding"),
    "binary codec": (PrepareSettings(encoding="base64"), "unknown encoding 'base64'"),
    "delimiter": (PrepareSettings(delimiter=":::::"), "':::::' cannot separate columns"),
    "wrong delimiter": (PrepareSettings(delimiter=";"), "which column is the user.*'user,item,time'"),
    "column": (PrepareSettings(item_column="movie"), "no column 'movie'.*'user', 'item', 'time'"),
    "rating": (PrepareSettings(min_rating=3), "which column is the rating.*--rating-column"),
    "core": (PrepareSettings(min_item_interactions=2), "no interaction is left .10 interactions outside the 1/2"),
}


@pytest.mark.parametrize("case", BAD_SETTINGS)
def test_bad_settings(case: str, tmp_path: Path) -> None:
    settings, message = BAD_SETTINGS[case]
    (tmp_path / "log.csv").write_text(GOOD)
    with pytest.raises(UserError, match=message):
        prepare(tmp_path / "log.csv", tmp_path / "out", settings=settings)
    assert [path.name for path in tmp_path.iterdir()] == ["log.csv"]


def test_paths_and_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="'ml-10k' is neither .* did you mean 'ml-100k'"):
        prepare("ml-10k")
    with pytest.raises(UserError, match="the names are ml-100k, ml-1m, gowalla, douban"):
        prepare("nothing/of/the/kind.csv")
    (tmp_path / "folder").mkdir()
    with pytest.raises(UserError, match="folder without an .inter file"):
        prepare("folder", "out")
    for name in ("ml-100k", "ml-1m", "gowalla", "douban"):
        with pytest.raises(UserError, match="--path"):
            prepare(name, "out", path="folder")
        with pytest.raises(UserError, match="no file or folder missing"):
            prepare(name, "out", path="missing")
    (tmp_path / "a b.csv").write_text(GOOD)
    with pytest.raises(UserError, match="choose one with --name"):
        prepare("a b.csv", "out")
    with pytest.raises(UserError, match="cannot be the name"):
        prepare("a b.csv", "out", name="../up")
    with pytest.raises(UserError, match="--path goes with the name of a dataset"):
        prepare("a b.csv", "out", path="folder")
    for name in ("x.inter", "y.inter"):
        (tmp_path / "folder" / name).write_text(TYPED)
    with pytest.raises(UserError, match="several files of interactions .x.inter, y.inter."):
        prepare("folder", "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.usefixtures("any_size")
def test_invalid_rows_can_be_dropped_and_are_counted(tmp_path: Path) -> None:
    text = "user,item,time,rating\na,b,1,5\na,c,2,5\n,c,2,5\na,,x,5\na,d,x,5\na,d,3,5\na,e,4,?\n"
    (tmp_path / "log.csv").write_text(text)
    settings = PrepareSettings(drop_invalid=True, min_rating=1)
    dataset = prepare(tmp_path / "log.csv", tmp_path / "out", settings=settings)
    assert dataset.manifest.dropped == {
        "rows without user id": 1,
        "rows without item id": 1,
        "rows without readable time": 1,
        "rows without readable rating": 1,
    }
    assert dataset.manifest.counts.interactions == 3
    with pytest.raises(UserError, match="no user id"):
        prepare(tmp_path / "log.csv", tmp_path / "other")


def test_missing_values_in_parquet(tmp_path: Path) -> None:
    pd.DataFrame({"user": [1.0, None, 2.0], "item": ["a", "b", "c"], "time": [1, 2, 3]}).to_parquet(
        tmp_path / "a.parquet"
    )
    with pytest.raises(UserError, match="1 of 3 rows have no user id, the first is data row 2"):
        prepare(tmp_path / "a.parquet", tmp_path / "out")
    pd.DataFrame({"user": [[1], [2]], "item": ["a", "b"], "time": [1, 2]}).to_parquet(tmp_path / "b.parquet")
    with pytest.raises(UserError, match="ids of type list"):
        prepare(tmp_path / "b.parquet", tmp_path / "out")


def test_duplicates_are_counted_not_refused(tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_text(GOOD + GOOD.split("\n", 1)[1] + "u0,i0,99\n")
    dataset = prepare(tmp_path / "log.csv", tmp_path / "out")
    assert dataset.manifest.dropped == {"rows that repeat user, item and time of another": 10}
    assert dataset.manifest.counts.interactions == 11, "the same item at another time stays"
    with_duplicates = prepare(tmp_path / "log.csv", tmp_path / "kept", settings=PrepareSettings(drop_duplicates=False))
    assert with_duplicates.manifest.counts.interactions == 21 and with_duplicates.manifest.dropped == {}


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=300), st.sampled_from([".csv", ".csv.gz", ".inter", ".parquet", ".tsv"]), st.booleans())
def test_any_bytes_are_read_or_refused(tmp_path: Path, content: bytes, suffix: str, begin: bool) -> None:
    """The outcome is a dataset or a UserError, never another exception."""
    file = tmp_path / f"log{suffix}"
    header = TYPED.encode() if suffix == ".inter" else b"user,item,time\n"
    file.write_bytes(header + content if begin else content)
    try:
        dataset = prepare(file, tmp_path / "out", force=True)
    except UserError as error:
        assert "\n" not in error.message
    else:
        assert len(dataset.items) >= 3
