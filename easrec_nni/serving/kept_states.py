"""States of a stream in a file: one process at a time, saved now and then, with a bound on what a kill loses."""

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

__all__ = ["KeptStates"]

UNKNOWN = b"?"


class KeptStates:
    """A file of states that this process alone reads and writes; a context, which holds it.

    The lock is the kernel's, on the file ``PATH.lock`` (the file itself is replaced with every save). While a stream
    runs, that file holds the process's number and the number of events that a kill loses at most; a process that ends
    as it should leaves it empty.

    Parameters
    ----------
    path
        File of states, which need not be there yet.
    every_events, every_seconds
        States are saved when so many events are not in the file, or the first of them is so many seconds old.
    say
        Told, in one line each, what was found and what could not be saved.

    Raises
    ------
    UserError
        On entering: another process holds the file, or the place cannot be written to.
    """

    def __init__(
        self, path: Path, every_events: int, every_seconds: float, say: Callable[[str], None] = lambda line: None
    ) -> None:
        self.path = Path(os.path.realpath(path))  # a link's target: it has one lock, and stays in its place
        self.lock_path = Path(f"{self.path}.lock")
        self.every_events, self.every_seconds, self.say = every_events, every_seconds, say
        self._stream: StreamingRecommender | None = None
        self._in_file = 0  # events
        self._first_unsaved: float | None = None  # when it was taken
        self._next_try = 0.0
        self._holding = ExitStack()

    def __enter__(self) -> KeptStates:
        if self.path.exists() and not self.path.is_file():
            raise UserError(f"{self.path} is not a file: give the name of a file of states")
        try:
            self._lock = self._holding.enter_context(file_lock(self.lock_path, self._refuse))
        except OSError as error:
            raise UserError(f"cannot write {self.lock_path}: {error.strerror}") from None
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._holding.close()

    def _refuse(self, lock: BinaryIO) -> None:
        holder = _mark_of(lock)
        number = "" if holder is None or holder[0] is None else f" ({holder[0]})"
        raise UserError(
            f"another process{number} takes events with the states {self.path}: end it first, or give another file"
        )

    def settings(self) -> dict[str, Any]:
        """Settings of the file's stream, as the constructor of a stream takes them; none without a file."""
        return saved_settings(self.path) if self.path.exists() else {}

    def begin(self, stream: StreamingRecommender) -> None:
        """Load the states into a stream, say what they are and what may be missing, and follow the stream from now on.

        Raises
        ------
        UserError
            The file is damaged or of another stream, or the place cannot be written to.
        """
        before = _mark_of(self._lock)
        self._stream = stream
        if self.path.exists():
            stream.load_state(self.path)
            saved = f", saved at {stream.saved:%Y-%m-%d %H:%M:%S} UTC" if stream.saved else ""
            self.say(f"{self.contents()}{saved}: {self.path}")
        else:
            self.say(f"no states yet: {self.path} will be written")
        if before is not None:
            most = "events" if before[1] is None else f"up to {counted(before[1], 'event')}"
            self.say(
                "the process that had these states before did not end as it should: "
                f"{most} that it took after its last save may be missing"
            )
        self._in_file = stream.events
        try:
            self._mark(self.every_events)
        except OSError as error:
            raise UserError(f"cannot write {self.lock_path}: {error.strerror}") from None

    def contents(self) -> str:
        """Users and events of the stream, in words."""
        assert self._stream is not None
        return f"states of {counted(self._stream.users, 'user')}, {counted(self._stream.events, 'event')}"

    @property
    def unsaved(self) -> int:
        """Events that are not in the file."""
        return 0 if self._stream is None else self._stream.events - self._in_file

    def seconds_left(self) -> float | None:
        """Seconds until the next save is due; None while there is nothing to save."""
        if not self.unsaved:
            return None
        now = time.monotonic()
        self._first_unsaved = now if self._first_unsaved is None else self._first_unsaved
        return max(0.0, max(self._first_unsaved + self.every_seconds, self._next_try) - now)

    def save_if_due(self) -> None:
        """Save where it is time; a save that fails is said, and tried again later."""
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
            self.say(f"{error.message}; {counted(self.unsaved, 'event')} not saved yet, next try in {pause:.0f} s")

    def _save(self) -> None:
        assert self._stream is not None
        self._stream.save(self.path)
        self._in_file, self._first_unsaved = self._stream.events, None
        if self._next_try:
            self._next_try = 0.0
            with suppress(OSError):
                self._mark(self.every_events)

    def end(self) -> None:
        """Save what is not in the file, and note that the stream ended as it should.

        Raises
        ------
        UserError
            The file cannot be written; it stays as it was.
        """
        if self.unsaved or not self.path.exists():
            try:
                self._save()
            except UserError as error:
                with suppress(OSError):
                    self._mark(self.unsaved)
                raise UserError(
                    f"{error.message}; {counted(self.unsaved, 'event')} lost, {self.path} is as it was"
                ) from None
        os.ftruncate(self._lock.fileno(), 0)

    def _mark(self, most: int | None) -> None:
        """Note in the lock file how many events a kill loses at most, None: unknown.

        So it is where a full disk prevents the note: shrinking takes no room, and the first byte is there already.
        """
        number = self._lock.fileno()
        try:
            text = f"{os.getpid()} ".encode() + (UNKNOWN if most is None else str(most).encode())
            os.pwrite(number, text, 0)
            os.ftruncate(number, len(text))
        except OSError:
            os.pwrite(number, UNKNOWN, 0)
            os.ftruncate(number, len(UNKNOWN))
            raise


def _mark_of(lock: BinaryIO) -> tuple[int | None, int | None] | None:
    """Process and bound of a lock file, each None where it is not known; None after a proper end."""
    text = os.pread(lock.fileno(), 100, 0).split()
    if not text:
        return None
    numbers = [int(word) if word.isdigit() else None for word in text[:2]]
    return (numbers[0], numbers[1]) if len(numbers) == 2 else (None, None)
