"""Signals that end a command as Ctrl-C does: what was started is ended first."""

from __future__ import annotations

import signal
from typing import NoReturn

__all__ = ["end_like_ctrl_c"]


def _interrupt(number: int, frame: object) -> NoReturn:
    raise KeyboardInterrupt


def end_like_ctrl_c() -> None:
    """Let SIGTERM and SIGHUP raise KeyboardInterrupt in this process."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
