"""Archives and logs that are prepared."""

from __future__ import annotations

import pickle
import zipfile
from pathlib import Path

import pytest

from easrec_nni.data import prepare
from easrec_nni.data.sources import delimited
from tests.hostile_files.conftest import Trap, refused


def archive(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as opened:
        for name, content in members.items():
            opened.writestr(name, content)
    return path


RATINGS = "\n".join(f"{user}::{(user + t) % 9 + 1}::5::{t}" for user in range(1, 9) for t in range(6)).encode()
MOVIES = "\n".join(f"{item}::Title (1999)::Drama" for item in range(1, 10)).encode()
MEMBERS = {"ml-1m/ratings.dat": RATINGS, "ml-1m/movies.dat": MOVIES}


def test_members_with_paths_are_never_written(tmp_path: Path) -> None:
    hostile = {"../../escaped": b"x", "/absolute": b"x", "ml-1m/../../escaped": b"x", "a\\..\\escaped": b"x"}
    inside = tmp_path / "a" / "b"
    inside.mkdir(parents=True)
    dataset = prepare("ml-1m", inside / "prepared", path=archive(inside / "ml-1m.zip", hostile | MEMBERS))
    assert dataset.n_users == 8
    assert sorted(file.name for file in inside.iterdir()) == ["ml-1m.zip", "prepared"]
    assert [file.name for file in tmp_path.iterdir()] == ["a"] and not list(tmp_path.rglob("escaped"))


def with_bits(file: Path, mark: bytes, place: int, value: int) -> Path:
    """Change a byte of every header of a zip archive."""
    content, start = bytearray(file.read_bytes()), 0
    while (start := content.find(mark, start)) >= 0:
        content[start + place] = value
        start += len(mark)
    file.write_bytes(content)
    return file


def test_archives_that_cannot_be_unpacked(tmp_path: Path, canary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "ml-1m.zip"
    read = lambda: prepare("ml-1m", tmp_path / "out", path=file)  # noqa: E731
    with_bits(with_bits(archive(file, MEMBERS), b"PK\x03\x04", 6, 1), b"PK\x01\x02", 8, 1)
    assert "encrypted" in refused(read)
    with_bits(archive(file, MEMBERS), b"PK\x01\x02", 10, 97)
    assert "compression method" in refused(read)
    file.write_bytes(pickle.dumps(Trap(canary)))
    assert "broken or incomplete" in refused(read)
    monkeypatch.setattr(delimited, "_LARGEST_MEMBER_BYTES", len(RATINGS) - 1)
    archive(file, MEMBERS)
    assert "too large to be read from an archive" in refused(read)


@pytest.mark.parametrize("name", ["log.csv", "log.parquet", "log.tsv", "log.csv.gz", "log.pkl"])
def test_pickles_in_place_of_logs(name: str, tmp_path: Path, canary: Path) -> None:
    (tmp_path / name).write_bytes(pickle.dumps(Trap(canary)))
    refused(lambda: prepare(tmp_path / name, tmp_path / "out"))
    assert not (tmp_path / "out").exists()
