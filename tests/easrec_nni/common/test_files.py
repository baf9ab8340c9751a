"""Atomic writes and bounded reads of files. Full disks: ``tests/faults``."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from easrec_nni.common.errors import UserError
from easrec_nni.common.files import atomic_copy, atomic_write, read_bounded, read_json, write_json, write_text


def test_a_file_is_replaced_when_the_block_ends_and_not_before(tmp_path: Path) -> None:
    file = tmp_path / "new" / "folder" / "file.txt"
    write_text(file, "first")
    with atomic_write(file) as temporary:
        temporary.write_text("second")
        assert file.read_text() == "first" and temporary.parent == file.parent
    assert file.read_text() == "second"
    assert [path.name for path in file.parent.iterdir()] == ["file.txt"]


@pytest.mark.parametrize("error", [ValueError("no"), KeyboardInterrupt()], ids=["error", "ctrl-c"])
def test_a_block_that_fails_leaves_what_was_there_and_nothing_else(error: BaseException, tmp_path: Path) -> None:
    write_text(tmp_path / "file.txt", "first")
    with pytest.raises(type(error)), atomic_write(tmp_path / "file.txt") as temporary:
        temporary.write_text("half")
        raise error
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("file.txt", "first")]


def test_a_document_that_json_cannot_hold_is_not_written(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"b": [1, 2.5, "c"]})
    with pytest.raises(ValueError, match="JSON compliant"):
        write_json(tmp_path / "a.json", {"b": float("nan")})
    assert read_json(tmp_path / "a.json") == {"b": [1, 2.5, "c"]}


@pytest.mark.parametrize("mask", [0o022, 0o077])
def test_others_may_read_it_as_far_as_the_umask_says(mask: int, tmp_path: Path) -> None:
    before = os.umask(mask)
    try:
        write_text(tmp_path / "file.txt", "")
        assert os.umask(mask) == mask, "the mask itself is as it was"
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "file.txt").stat().st_mode) == 0o666 & ~mask


def test_places_that_cannot_be_written_are_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is a folder; give a file name"):
        write_text(tmp_path, "")
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"cannot write .*file/inside: (Not a directory|File exists)"):
        write_text(tmp_path / "file" / "inside", "")


def test_a_copy_has_the_same_bytes(tmp_path: Path) -> None:
    content = bytes(range(256)) * 1000
    (tmp_path / "a").write_bytes(content)
    atomic_copy(tmp_path / "a", tmp_path / "b")
    assert (tmp_path / "b").read_bytes() == content
    with pytest.raises(FileNotFoundError):
        atomic_copy(tmp_path / "missing", tmp_path / "b")
    assert (tmp_path / "b").read_bytes() == content


def test_no_more_is_read_than_allowed(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"12345")
    assert read_bounded(tmp_path / "a", 5, "") == b"12345"
    with pytest.raises(UserError, match="a has more than 4 bytes: not a settings file"):
        read_bounded(tmp_path / "a", 4, ": not a settings file")
    with pytest.raises(UserError, match="more than 10 bytes"):
        read_bounded(Path("/dev/zero"), 10, "")
    with pytest.raises(UserError, match="cannot read .*missing: No such file or directory; look again"):
        read_bounded(tmp_path / "missing", 4, "", "; look again")


def test_json_nested_too_deeply_is_a_value_error(tmp_path: Path) -> None:
    (tmp_path / "deep.json").write_text("[" * 200_000)
    with pytest.raises(ValueError):
        read_json(tmp_path / "deep.json")
