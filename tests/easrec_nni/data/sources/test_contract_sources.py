"""Contract of all sources, named or local: read a small file repeatably, or explain errors."""

from __future__ import annotations

import gzip
import hashlib
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from easrec_nni.common.errors import UserError
from easrec_nni.data import PrepareSettings, load_dataset, prepare
from easrec_nni.data.home import is_name
from easrec_nni.data.reporting import LogReporter
from easrec_nni.data.sources import LOCAL_KINDS, NAMED, Source, choose_source

SOURCES = {source.name: source for source in (*NAMED, *LOCAL_KINDS)}
ROWS = [
    (user, (3 * user + step) % 11 + 1, 1 + (user + step) % 5, 86_400 * (10 + step))
    for user in range(8)
    for step in range(6)
]
ISO = "1970-01-{:02d}T00:00:00Z"


def _lines(separator: str) -> str:
    return "".join(separator.join(map(str, row)) + "\n" for row in ROWS)


def _ml_100k(folder: Path) -> None:
    (folder / "u.data").write_text(_lines("\t"))
    flags = "|0" * 18
    items = "".join(f"{item}|Film {item} (1994)|01-Jan-1994||http|1{flags}\n" for item in range(1, 12))
    (folder / "u.item").write_text(items, encoding="latin-1")


def _ml_1m(folder: Path) -> None:
    (folder / "ratings.dat").write_text(_lines("::"))
    movies = "".join(f"{item}::Film {item} (1994)::Drama|War\n" for item in range(1, 12))
    (folder / "movies.dat").write_text(movies, encoding="latin-1")


def _gowalla(folder: Path) -> None:
    lines = (f"{user}\t{ISO.format(time // 86_400 + 1)}\t1.5\t2.5\t{item}\n" for user, item, _, time in ROWS)
    (folder / "loc-gowalla_totalCheckins.txt.gz").write_bytes(gzip.compress("".join(lines).encode()))


def _douban(folder: Path) -> None:
    lines = ["ID,Movie_Name_EN,Movie_Name_CN,Crawl_Date,Number,Username,Date,Star,Comment,Like"]
    lines += [
        f"0,{item},x,2017-01-22,1,{user},{ISO.format(time // 86_400 + 1)[:10]},{rating},c,1"
        for user, item, rating, time in ROWS
    ]
    (folder / "DMSC.csv").write_text("\n".join(lines) + "\n")


def _sequences(file: str) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        lines = (" ".join(str(word) for word in (user, *_items_of(user))) for user in range(8))
        (folder / file).write_text("\n".join(lines) + "\n")

    return write


def _items_of(user: int) -> list[int]:
    return [item for owner, item, _, _ in ROWS if owner == user]


def _atomic(folder: Path) -> None:
    header = "user_id:token\titem_id:token\trating:float\ttimestamp:float\n"
    (folder / f"{folder.name}.inter").write_text(header + _lines("\t"))


def _table(folder: Path) -> None:
    (folder / "log.csv").write_text("user,item,rating,time\n" + _lines(","))


# Writes ROWS (user, item, rating, seconds) as a source has them; None where a source reads no file. A source that is
# registered without a small file here fails.
FILES: dict[str, Callable[[Path], None] | None] = {
    "ml-100k": _ml_100k,
    "ml-1m": _ml_1m,
    "gowalla": _gowalla,
    "douban": _douban,
    "synthetic-gowalla": None,
    "amazon-beauty": _sequences("Beauty.txt"),
    "amazon-toys": _sequences("Toys_and_Games.txt"),
    "amazon-sports": _sequences("Sports_and_Outdoors.txt"),
    "atomic": _atomic,
    "table": _table,
}
ORDER_IS_TIME = {"amazon-beauty", "amazon-toys", "amazon-sports"}
"""Sources without times: interactions of a user are in their order."""
READING = pytest.mark.parametrize("name", [name for name in SOURCES if FILES.get(name, _table) is not None])


@pytest.fixture
def files(name: str, tmp_path: Path) -> Path:
    """Folder with the small file, or the file where its name decides the kind of local file."""
    folder = tmp_path / "given"
    folder.mkdir()
    writer = FILES[name]
    assert writer is not None
    writer(folder)
    return folder / "log.csv" if name == "table" else folder


def _prepare(name: str, files: Path, out: Path, settings: PrepareSettings | None = None) -> Path:
    """Prepare as a user does: a named source with ``--path``, local files by their path."""
    named = name in {source.name for source in NAMED}
    source, path = (name, files) if named else (files, None)
    return prepare(source, out, path=path, settings=settings or PrepareSettings()).path


def test_names_are_there_once_and_can_be_typed() -> None:
    assert len(SOURCES) == len(NAMED) + len(LOCAL_KINDS)
    assert FILES.keys() == SOURCES.keys(), "a small file for every source"
    for source in NAMED:
        assert is_name(source.name) and choose_source(source.name, None) == (source, None)
    for source in SOURCES.values():
        assert source.summary and "\n" not in source.summary and len(source.summary) < 100


@READING
def test_a_dataset_is_the_same_wherever_it_is_prepared(name: str, files: Path, tmp_path: Path) -> None:
    first = load_dataset(_prepare(name, files, tmp_path / "one"), verify=True)
    moved = tmp_path / "elsewhere" / files.name
    moved.parent.mkdir()
    shutil.copytree(files, moved) if files.is_dir() else shutil.copy(files, moved)
    again = load_dataset(_prepare(name, moved, tmp_path / "two"), verify=True)
    assert first.fingerprint == again.fingerprint
    source = first.manifest.source
    assert (source.name, source.local) == (name, True) and source == again.manifest.source
    inside = {file.name: file for file in ([files] if files.is_file() else files.iterdir())}
    assert source.files and {each.name for each in source.files} <= inside.keys()
    for each in source.files:
        content = inside[each.name].read_bytes()
        assert (each.bytes, each.sha256.removeprefix("sha256:")) == (len(content), hashlib.sha256(content).hexdigest())
    assert str(tmp_path) not in json.dumps(first.manifest.model_dump(mode="json")), "folders are not recorded"
    assert (first.n_users, first.n_items, len(first.items)) == (8, 11, len(ROWS))
    for user in range(8):
        mine = [str(item) for who, item, _, _ in ROWS if str(who) == str(first.user_ids[user])]
        own = slice(first.offsets[user], first.offsets[user + 1])
        assert first.item_ids[first.items[own]].tolist() == mine
        if name in ORDER_IS_TIME:
            assert (np.diff(first.times[own]) > 0).all()
        else:
            assert first.times[own].tolist() == [86_400 * (10 + step) for step in range(6)]
    assert first.manifest.dropped == {} and first.times.dtype in (np.int64, np.float64)


@READING
def test_lowest_ratings_are_left_out_or_there_are_none(name: str, files: Path, tmp_path: Path) -> None:
    try:
        dataset = load_dataset(_prepare(name, files, tmp_path / "out", PrepareSettings(min_rating=2)))
    except UserError as error:
        assert "has no ratings: leave out --min-rating" in error.message
        return
    assert len(dataset.items) == sum(rating >= 2 for _, _, rating, _ in ROWS)
    assert dataset.manifest.dropped == {"interactions with a rating below 2": len(ROWS) - len(dataset.items)}


@READING
@pytest.mark.parametrize("damage", ["gone", "empty", "cut", "binary"])
def test_a_damaged_file_is_one_line_and_nothing_is_written(name: str, files: Path, damage: str, tmp_path: Path) -> None:
    for file in [files] if files.is_file() else list(files.iterdir()):
        content = file.read_bytes()
        line = content.splitlines(keepends=True)[-1]
        cut = content[: -len(line)] + line[:1]
        file.write_bytes({"empty": b"", "cut": cut, "binary": bytes(range(256)) * 9}.get(damage, content))
        if damage == "gone":
            file.unlink()
    with pytest.raises(UserError) as caught:
        _prepare(name, files, tmp_path / "out")
    assert "\n" not in caught.value.message and re.search(r"[:(]", caught.value.message)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", [name for name, writer in FILES.items() if writer is None])
def test_a_source_without_files_is_drawn_alike_every_time(name: str) -> None:
    source: Source = SOURCES[name]
    assert source.locate(None, LogReporter()) == ()
    with pytest.raises(UserError, match="leave out --path"):
        source.locate(Path(), LogReporter())
