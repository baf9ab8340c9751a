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
    """Hold an exclusive lock on a file.

    The lock is the kernel's (``flock``): it ends with the process that holds it, however that process dies.

    Parameters
    ----------
    file
        The lock file; created if missing, never removed. Its content is the caller's.
    on_wait
        Called with the open file before waiting for another process's lock; may raise instead.

    Yields
    ------
    BinaryIO
        The file, unbuffered.

    Raises
    ------
    OSError
        The file cannot be created or locked.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    # Neither truncated before the lock is held, nor opened for appending, which would write after the old content.
    with os.fdopen(os.open(file, os.O_RDWR | os.O_CREAT, 0o666), "r+b", buffering=0) as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            on_wait(lock)
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield lock


@contextmanager
def exclusive_lock(folder: Path) -> Iterator[None]:
    """Hold an exclusive lock on a folder; wait while another process, such as a trial without a manager, holds it.

    The file ``lock`` stays behind and means nothing: locks cannot become stale.

    Parameters
    ----------
    folder
        The folder; created if missing.
    """
    with file_lock(
        folder / LOCK_FILE, lambda _: _logger.warning("another process is using %s: waiting for it", folder)
    ):
        yield
