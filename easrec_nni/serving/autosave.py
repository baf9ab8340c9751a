"""Periodic saving of a stream's states to a locked file, with bounded loss on SIGKILL."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

from easrec_nni.common.errors import UserError
from easrec_nni.common.locks import file_lock
from easrec_nni.common.readable import counted
from easrec_nni.serving.state_files import saved_settings
from easrec_nni.serving.streaming import StreamingRecommender

__all__ = ["AutosavedStates"]

UNKNOWN = b"?"


class AutosavedStates:
    """States of a stream with an exclusively locked file; a context manager that holds the lock.

    The kernel lock is on ``PATH.lock``, as every save replaces the file of states itself. While a stream runs, the lock
    file holds the process id and the maximum number of events that a SIGKILL loses; a clean end leaves it empty.

    Parameters
    ----------
    path
        File of states; created if missing.
    every_events, every_seconds
        Thresholds of unsaved events, and of the age of the oldest one in seconds, at which states are saved.
    say
        Receives one-line messages about what was loaded and about failed saves.

    Raises
    ------
    UserError
        On entering: another process holds the lock, or the folder is not writable.
    """

    def __init__(
        self, path: Path, every_events: int, every_seconds: float, say: Callable[[str], None] = lambda line: None
    ) -> None:
        self.path = Path(os.path.realpath(path))  # all links to a file share its lock, and saving replaces the target
        self.lock_path = Path(f"{self.path}.lock")
        self.every_events, self.every_seconds, self.say = every_events, every_seconds, say
        self._stream: StreamingRecommender | None = None
        self._saved_events = 0
        self._first_unsaved: float | None = None  # time.monotonic()
        self._next_try = 0.0
        self._held_lock = ExitStack()

    def __enter__(self) -> AutosavedStates:
        if self.path.exists() and not self.path.is_file():
            raise UserError(f"{self.path} is not a file: give the path of a file of states")
        try:
            self._lock = self._held_lock.enter_context(file_lock(self.lock_path, self._refuse))
        except OSError as error:
            raise UserError(f"cannot write {self.lock_path}: {error.strerror}") from None
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._held_lock.close()

    def _refuse(self, lock: BinaryIO) -> None:
        holder = _read_mark(lock)
        process = "" if holder is None or holder[0] is None else f" ({holder[0]})"
        raise UserError(f"another process{process} is using the states {self.path}: end it first, or give another file")

    def settings(self) -> dict[str, Any]:
        """Constructor options of the saved stream; empty if there is no file yet."""
        return saved_settings(self.path) if self.path.exists() else {}

    def begin(self, stream: StreamingRecommender) -> None:
        """Load the states into a stream, report them and possible losses, and track the stream.

        Raises
        ------
        UserError
            The file is damaged or of another stream, or the lock file cannot be written.
        """
        last_mark = _read_mark(self._lock)
        self._stream = stream
        if self.path.exists():
            stream.load_state(self.path)
            saved = f", saved at {stream.saved:%Y-%m-%d %H:%M:%S} UTC" if stream.saved else ""
            self.say(f"{self.contents()}{saved}: {self.path}")
        else:
            self.say(f"no states yet: {self.path} will be created")
        if last_mark is not None:
            lost = "events" if last_mark[1] is None else f"up to {counted(last_mark[1], 'event')}"
            self.say(
                f"the last process with these states did not end cleanly: {lost} after its last save may be missing"
            )
        self._saved_events = stream.events
        try:
            self._mark(self.every_events)
        except OSError as error:
            raise UserError(f"cannot write {self.lock_path}: {error.strerror}") from None

    def contents(self) -> str:
        """Summary of the stream's users and events, in words."""
        assert self._stream is not None
        return f"states of {counted(self._stream.users, 'user')}, {counted(self._stream.events, 'event')}"

    @property
    def unsaved(self) -> int:
        """Number of events that are not in the file."""
        return 0 if self._stream is None else self._stream.events - self._saved_events

    def seconds_left(self) -> float | None:
        """Seconds until the next save is due; None while there is nothing to save."""
        if not self.unsaved:
            return None
        now = time.monotonic()
        self._first_unsaved = now if self._first_unsaved is None else self._first_unsaved
        return max(0.0, max(self._first_unsaved + self.every_seconds, self._next_try) - now)

    def save_if_due(self) -> None:
        """Save if due; a failed save is reported and retried later."""
        seconds = self.seconds_left()
        if seconds is None:
            return
        if self.unsaved >= self.every_events:
            seconds = self._next_try - time.monotonic()
        if seconds > 0:
            return
        try:
            self._save()
        except UserError as error:
            pause = max(1.0, self.every_seconds)
            self._next_try = time.monotonic() + pause
            with suppress(OSError):
                self._mark(None)
            self.say(f"{error.message}; {counted(self.unsaved, 'event')} not saved yet, retrying in {pause:.0f} s")

    def _save(self) -> None:
        assert self._stream is not None
        self._stream.save(self.path)
        self._saved_events, self._first_unsaved = self._stream.events, None
        if self._next_try:
            self._next_try = 0.0
            with suppress(OSError):
                self._mark(self.every_events)

    def end(self) -> None:
        """Save unsaved events and mark the end as clean.

        Raises
        ------
        UserError
            The file cannot be written; the last save is kept.
        """
        if self.unsaved or not self.path.exists():
            try:
                self._save()
            except UserError as error:
                with suppress(OSError):
                    self._mark(self.unsaved)
                raise UserError(
                    f"{error.message}; {counted(self.unsaved, 'event')} lost, {self.path} is unchanged"
                ) from None
        os.ftruncate(self._lock.fileno(), 0)

    def _mark(self, lost: int | None) -> None:
        """Write to the lock file how many events a SIGKILL loses at most; None: unknown.

        If the disk is full, the mark becomes "unknown": overwriting the first byte and shrinking need no space.
        """
        number = self._lock.fileno()
        try:
            text = f"{os.getpid()} ".encode() + (UNKNOWN if lost is None else str(lost).encode())
            os.pwrite(number, text, 0)
            os.ftruncate(number, len(text))
        except OSError:
            os.pwrite(number, UNKNOWN, 0)
            os.ftruncate(number, len(UNKNOWN))
            raise


def _read_mark(lock: BinaryIO) -> tuple[int | None, int | None] | None:
    """Process id and bound in a lock file, each None if unknown; None after a clean end."""
    text = os.pread(lock.fileno(), 100, 0).split()
    if not text:
        return None
    numbers = [int(word) if word.isdigit() else None for word in text[:2]]
    return (numbers[0], numbers[1]) if len(numbers) == 2 else (None, None)
