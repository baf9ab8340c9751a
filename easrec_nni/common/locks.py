"""Exclusive locks on files and folders, held by one process at a time."""

from __future__ import annotations

import fcntl
import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

__all__ = ["LOCK_FILE", "exclusive_lock", "file_lock"]


LOCK_FILE = "lock"


_logger = logging.getLogger(__name__)


@contextmanager
def file_lock(file: Path, on_wait: Callable[[BinaryIO], None]) -> Iterator[BinaryIO]:
    """Hold a file's lock, which is the kernel's (``flock``) and ends with the process that holds it, by whatever death.

    Parameters
    ----------
    file
        Made if it is not there, and left there: what is in it is the caller's business.
    on_wait
        Called with the open file if another process has the lock, which is waited for then; may raise instead.

    Yields
    ------
    BinaryIO
        The file, unbuffered.

    Raises
    ------
    OSError
        The file cannot be made or locked.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    # Neither emptied before it is held, nor opened for appending, which would write behind what is there.
    with os.fdopen(os.open(file, os.O_RDWR | os.O_CREAT, 0o666), "r+b", buffering=0) as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            on_wait(lock)
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield lock


@contextmanager
def exclusive_lock(folder: Path) -> Iterator[None]:
    """Hold a folder: a trial whose manager was killed may still be at work there, and is waited for.

    The file ``lock`` that stays behind says nothing: there is no stale lock that somebody would have to remove.

    Parameters
    ----------
    folder
        Made if it is not there.
    """
    with file_lock(
        folder / LOCK_FILE, lambda _: _logger.warning("another process works on %s: waiting for it", folder)
    ):
        yield
