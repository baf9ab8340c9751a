"""MovieLens from small files in the forms that GroupLens and RecBole give it."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest

from easrec_nni.common.errors import UserError
from easrec_nni.data import Dataset, PrepareSettings, prepare
from easrec_nni.data.reporting import LogReporter
from easrec_nni.data.sources import movielens
from tests.histories import histories

pytestmark = pytest.mark.usefixtures("any_size")  # reading is tested, with a few rows

FLAGS = "unknown Action Adventure Animation Children's Comedy Crime Documentary Drama Fantasy".split()


def feature(dataset: Dataset, name: str) -> dict[str, list[str]]:
    """Values of each item, by the source's ids."""
    table = dataset.item_features[name]
    return {
        str(dataset.item_ids[item]): [
            table.vocabulary[value] for value in table.values[table.offsets[item] : table.offsets[item + 1]]
        ]
        for item in range(dataset.n_items + 1)
    }


def item_line(number: int, title: str, genres: list[str]) -> str:
    flags = "|".join("1" if name in genres else "0" for name in FLAGS) + "|0" * 9
    return f"{number}|{title}|01-Jan-1995||http://us.imdb.com/x|{flags}"


RATINGS = [(1, 10, 5, 30), (1, 20, 2, 10), (2, 10, 3, 5), (1, 30, 4, 20), (2, 30, 4, 5), (2, 20, 1, 5), (1, 10, 5, 40)]


@pytest.fixture
def folder_100k(tmp_path: Path) -> Path:
    folder = tmp_path / "ml-100k"
    folder.mkdir()
    (folder / "u.data").write_text("".join("\t".join(map(str, row)) + "\n" for row in RATINGS))
    lines = [
        item_line(10, "Caf\u00e9 (a.k.a. Bar) (1994)", ["Drama", "Comedy"]),
        item_line(20, "unknown", ["unknown"]),
        item_line(30, "Land: The Time (1995) (V)", ["Animation"]),
        item_line(99, "Never Rated (1990)", ["Drama"]),
    ]
    (folder / "u.item").write_text("\n".join(lines) + "\n", encoding="latin-1")
    return folder


@pytest.fixture
def folder_1m(tmp_path: Path) -> Path:
    folder = tmp_path / "ml-1m"
    folder.mkdir()
    (folder / "ratings.dat").write_text("".join("::".join(map(str, row)) + "\n" for row in RATINGS))
    movies = "10::Star Wars: Caf\u00e9 (1994)::Drama|Comedy\n20::Mission::Sci-Fi\n30::Odd::Title (1995)::Film-Noir\n"
    (folder / "movies.dat").write_text(movies, encoding="latin-1")
    return folder


def zipped(folder: Path) -> Path:
    archive = folder.with_suffix(".zip")
    with zipfile.ZipFile(archive, "w") as opened:
        opened.writestr("../escaped.txt", "no")
        for file in sorted(folder.iterdir()):
            opened.write(file, f"{folder.name}/{file.name}")
    return archive


@pytest.mark.parametrize("packed", [True, False])
def test_ml_100k(folder_100k: Path, packed: bool, tmp_path: Path) -> None:
    path = zipped(folder_100k) if packed else folder_100k
    dataset = prepare("ml-100k", tmp_path / "out", path=path)
    # User 2 rated all at once, so the order of the file holds.
    assert histories(dataset) == {"1": ["20", "30", "10", "10"], "2": ["10", "30", "20"]}
    assert dataset.times.tolist() == [10, 20, 30, 40, 5, 5, 5]
    genres = {"": [], "10": ["Comedy", "Drama"], "20": ["unknown"], "30": ["Animation"]}
    assert feature(dataset, "genre") == genres
    assert feature(dataset, "release_year") == {"": [], "10": ["1994"], "20": [], "30": ["1995"]}
    assert not (tmp_path.parent / "escaped.txt").exists() and not (tmp_path / "escaped.txt").exists()


@pytest.mark.parametrize("packed", [True, False])
def test_ml_1m(folder_1m: Path, packed: bool, tmp_path: Path) -> None:
    path = zipped(folder_1m) if packed else folder_1m
    dataset = prepare("ml-1m", tmp_path / "out", path=path, settings=PrepareSettings(min_rating=2))
    assert histories(dataset) == {"1": ["20", "30", "10", "10"], "2": ["10", "30"]}
    assert dataset.manifest.dropped == {"interactions with a rating below 2": 1}
    assert dataset.split.users_train_only == dataset.manifest.split.users_train_only == 1
    genres = {"": [], "10": ["Comedy", "Drama"], "20": ["Sci-Fi"], "30": ["Film-Noir"]}
    assert feature(dataset, "genre") == genres
    assert feature(dataset, "release_year") == {"": [], "10": ["1994"], "20": [], "30": ["1995"]}


def published_rows(archive: Path) -> list[list[str]]:
    """User, item, rating and time of all ratings in the order of the file, with a plain loop."""
    member = f"{movielens._WHEEL_STEM}.inter" if archive.suffix == ".whl" else "ml-100k/u.data"
    with zipfile.ZipFile(archive) as opened:
        lines = opened.read(member).decode().splitlines()
    return [line.split("\t") for line in lines if line[0].isdigit()]


def test_ml_100k_is_the_same_from_grouplens_and_from_recbole(ml100k: Dataset, tmp_path: Path) -> None:
    rows = published_rows(movielens.ML_100K.locate(None, LogReporter())[0])
    assert len(rows) == 100_000
    genres, years = feature(ml100k, "genre"), feature(ml100k, "release_year")
    published, theirs = tmp_path / "grouplens", tmp_path / "recbole"
    published.mkdir()
    theirs.mkdir()
    (published / "u.data").write_text("".join("\t".join(row) + "\n" for row in rows))
    header = "user_id:token\titem_id:token\trating:float\ttimestamp:float\n"
    (theirs / "ml-100k.inter").write_text(header + "".join("\t".join(row) + "\n" for row in rows))
    flag_lines, typed_lines = [], ["item_id:token\tmovie_title:token_seq\trelease_year:token\tclass:token_seq"]
    for item in ml100k.item_ids[1:].tolist():
        flags = "|".join("1" if name in genres[item] else "0" for name in movielens._GENRES_100K)
        title = "".join(["A title", *(f" ({year})" for year in years[item])])
        flag_lines.append(f"{item}|{title}|||http|{flags}")
        typed_lines.append(f"{item}\tA title\t{''.join(years[item]) or 'unkonwn'}\t{' '.join(genres[item])}")
    (published / "u.item").write_text("\n".join(flag_lines) + "\n", encoding="latin-1")
    (theirs / "ml-100k.item").write_text("\n".join(typed_lines) + "\n")
    for folder in (published, theirs):
        other = prepare("ml-100k", tmp_path / f"{folder.name}-out", path=folder)
        assert other.fingerprint == ml100k.fingerprint
        assert histories(other) == histories(ml100k)
        assert np.array_equal(other.times, ml100k.times) and other.times.dtype == ml100k.times.dtype
        assert feature(other, "genre") == genres and feature(other, "release_year") == years
    # RecBole's file gives this film's year as V; its title still has the year.
    assert years["1412"] == ["1995"]


def test_real_ml_100k_counts(ml100k: Dataset) -> None:
    counts = ml100k.manifest.counts
    assert (counts.users, counts.items, counts.interactions) == (943, 1682, 100_000)
    assert ml100k.user_ids[0] == "196" and ml100k.item_ids[1] == "242", "numbered as they first appear"
    genre = ml100k.item_features["genre"]
    toy_story = int(np.flatnonzero(ml100k.item_ids == "1")[0])
    values = genre.values[genre.offsets[toy_story] : genre.offsets[toy_story + 1]]
    assert [genre.vocabulary[value] for value in values] == ["Animation", "Children's", "Comedy"]
    assert len(genre.vocabulary) == 20


@pytest.mark.parametrize(
    ("name", "file", "text", "message"),
    [
        ("ml-100k", "u.data", "1\t2\t3\n", "u.data"),
        ("ml-100k", "u.item", "1|Title|x\n", "line 1 describes no movie"),
        ("ml-100k", "u.data", "1\t2\t3\tnever\n", "readable time"),
        ("ml-100k", "u.data", "", "u.data"),
    ],
)
def test_damaged_ml_100k(folder_100k: Path, name: str, file: str, text: str, message: str, tmp_path: Path) -> None:
    (folder_100k / file).write_text(text)
    with pytest.raises(UserError, match=message):
        prepare(name, tmp_path / "out", path=folder_100k)
    assert not (tmp_path / "out").exists()


def test_archive_without_its_members(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "ml-1m.zip", "w") as opened:
        opened.writestr("../ml-1m/ratings.dat", "1::1::1::1\n")
    with pytest.raises(UserError, match="ml-1m.zip has no ml-1m/ratings.dat"):
        prepare("ml-1m", tmp_path / "out", path=tmp_path / "ml-1m.zip")
    (tmp_path / "broken.zip").write_bytes(b"PK no archive")
    with pytest.raises(UserError, match="broken.zip is broken or incomplete"):
        prepare("ml-1m", tmp_path / "out", path=tmp_path / "broken.zip")
