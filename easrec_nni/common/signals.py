"""Handling of termination signals: raise as Ctrl-C does, ignore, or record."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Any, NoReturn

__all__ = ["StopSignals", "signals_ignored", "signals_interrupt"]


def _interrupt(number: int, frame: object) -> NoReturn:
    raise KeyboardInterrupt


def signals_interrupt() -> AbstractContextManager[None]:
    """Make SIGTERM and SIGHUP, unless ignored, raise KeyboardInterrupt in the block, so that it can clean up."""
    return _handled_by(_interrupt, *_not_ignored(signal.SIGTERM, signal.SIGHUP))


def signals_ignored() -> AbstractContextManager[None]:
    """Ignore signals during clean-up, so that a second Ctrl-C cannot leave processes behind."""
    return _handled_by(signal.SIG_IGN, signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def _not_ignored(*numbers: signal.Signals) -> list[signal.Signals]:
    """Signals that the process was not started to ignore, as ``nohup`` does with SIGHUP."""
    return [number for number in numbers if signal.getsignal(number) != signal.SIG_IGN]


@contextlib.contextmanager
def _handled_by(handler: Any, *numbers: signal.Signals) -> Iterator[None]:
    """Install a signal handler for the block; in the main thread only, where signals arrive."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, handler) for number in numbers}
    try:
        yield
    finally:
        for number, earlier in before.items():
            signal.signal(number, earlier)


class StopSignals:
    """Context that records SIGTERM, SIGHUP and SIGINT instead of stopping; for the main thread.

    Signals that the process was started to ignore (``nohup``) stay ignored.

    Attributes
    ----------
    number
        First signal received, or None.
    descriptor
        File descriptor that becomes readable when a signal arrives after :meth:`drain`; for ``select``.
    """

    number: signal.Signals | None = None

    def __enter__(self) -> StopSignals:
        self.descriptor, self._writing = os.pipe()
        for end in (self.descriptor, self._writing):
            os.set_blocking(end, False)
        # A handler runs between two bytecodes, which is too late for a blocking wait: the pipe wakes it.
        self._wakeup = signal.set_wakeup_fd(self._writing, warn_on_full_buffer=False)
        numbers = _not_ignored(signal.SIGTERM, signal.SIGHUP, signal.SIGINT)
        self._before = {number: signal.signal(number, self._note) for number in numbers}
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(self._wakeup)
        os.close(self.descriptor)
        os.close(self._writing)

    def _note(self, number: int, frame: object) -> None:
        self.number = self.number or signal.Signals(number)

    def drain(self) -> None:
        """Empty the pipe, so that the descriptor becomes readable at the next signal only."""
        with contextlib.suppress(BlockingIOError):
            os.read(self.descriptor, 512)
