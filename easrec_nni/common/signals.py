"""Signals that end a command: as Ctrl-C does, or after what is in hand."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Any, NoReturn

__all__ = ["StopSignals", "raise_interrupt_on_signals", "signals_ignored", "signals_interrupt"]


def _interrupt(number: int, frame: object) -> NoReturn:
    raise KeyboardInterrupt


def raise_interrupt_on_signals() -> None:
    """Let SIGTERM and SIGHUP raise KeyboardInterrupt in this process."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)


def signals_interrupt() -> AbstractContextManager[None]:
    """SIGTERM and SIGHUP raise KeyboardInterrupt in the block, so that it can stop what it started."""
    return _handled_by(_interrupt, signal.SIGTERM, signal.SIGHUP)


def signals_ignored() -> AbstractContextManager[None]:
    """Signals are ignored in the block, a clean-up: a second Ctrl-C cannot leave processes behind."""
    return _handled_by(signal.SIG_IGN, signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextlib.contextmanager
def _handled_by(handler: Any, *numbers: signal.Signals) -> Iterator[None]:
    """Another handler of signals in the block; only in the main thread, where signals arrive."""
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
    """SIGTERM, SIGHUP and SIGINT as a note that they came; a context, in the main thread.

    What the process was started to ignore (``nohup``) stays ignored.

    Attributes
    ----------
    number
        Signal that came first, None before.
    descriptor
        Readable when one has come since :meth:`drain`: wait for it together with what is waited for.
    """

    number: signal.Signals | None = None

    def __enter__(self) -> StopSignals:
        self.descriptor, self._writing = os.pipe()
        for each in (self.descriptor, self._writing):
            os.set_blocking(each, False)
        # A handler runs between two steps of Python, which is too late for one that waits: the pipe wakes it.
        self._wakeup = signal.set_wakeup_fd(self._writing, warn_on_full_buffer=False)
        numbers = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)
        self._before = {
            each: signal.signal(each, self._note) for each in numbers if signal.getsignal(each) != signal.SIG_IGN
        }
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for each, handler in self._before.items():
            signal.signal(each, handler)
        signal.set_wakeup_fd(self._wakeup)
        os.close(self.descriptor)
        os.close(self._writing)

    def _note(self, number: int, frame: object) -> None:
        self.number = self.number or signal.Signals(number)

    def drain(self) -> None:
        """Make the descriptor wait for the next signal."""
        with contextlib.suppress(BlockingIOError):
            os.read(self.descriptor, 512)
