"""Locks between processes. Locks of killed processes: ``tests/faults/test_side_by_side.py``."""

from __future__ import annotations

import logging
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import pytest

from easrec_nni.common.locks import LOCK_FILE, exclusive_lock, file_lock

HOLDER = (
    "import fcntl, sys; f = open(sys.argv[1], 'r+'); fcntl.flock(f, fcntl.LOCK_EX); print('held', flush=True); input()"
)


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process holding the folder's lock until it receives a line."""
    (tmp_path / LOCK_FILE).write_text("what was there")
    command = [sys.executable, "-c", HOLDER, str(tmp_path / LOCK_FILE)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_a_free_lock_is_acquired_immediately_and_its_file_stays(tmp_path: Path) -> None:
    def waits(_: BinaryIO) -> None:
        raise AssertionError("nothing to wait for")

    for expected in (b"", b"a note"):
        with file_lock(tmp_path / "new" / "lock", waits) as file:
            assert file.read() == expected, "neither emptied nor appended to"
            file.seek(0)
            file.write(b"a note")
    assert (tmp_path / "new" / "lock").read_bytes() == b"a note"


def test_waiting_can_be_refused(tmp_path: Path, holder: subprocess.Popen[str]) -> None:
    def refuse(file: BinaryIO) -> None:
        raise ValueError(file.read().decode())

    with pytest.raises(ValueError, match="what was there"), file_lock(tmp_path / LOCK_FILE, refuse):
        pass


def test_a_folder_in_use_is_waited_for(
    tmp_path: Path, holder: subprocess.Popen[str], caplog: pytest.LogCaptureFixture
) -> None:
    inside = threading.Event()

    def enter() -> None:
        with exclusive_lock(tmp_path):
            inside.set()

    thread = threading.Thread(target=enter)
    with caplog.at_level(logging.WARNING):
        thread.start()
        assert not inside.wait(0.5)
        assert holder.stdin is not None
        holder.stdin.write("\n")
        holder.stdin.close()
        assert inside.wait(30)
        thread.join()
    assert "another process is using" in caplog.text
