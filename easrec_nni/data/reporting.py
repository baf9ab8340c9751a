"""Progress reports of long-running data steps."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Protocol

_logger = logging.getLogger(__name__)


class Reporter(Protocol):
    """Receiver of progress reports; the command line shows it, a library user may ignore it."""

    def step(self, message: str) -> None:
        """Report that a step begins, such as "reading u.data"."""

    def note(self, message: str) -> None:
        """Report something that the user should read, such as what was left out."""

    def understood(self, lines: Mapping[str, str]) -> None:
        """Report how a log was understood, before it is written: a line for each heading."""

    def transferred(self, done: int, total: int | None) -> None:
        """Report a download: bytes so far, and the total where the server gave it."""


class LogReporter:
    """Reporter that writes to this module's logger (steps at debug, notes at info level)."""

    def step(self, message: str) -> None:
        """Log that a step begins."""
        _logger.debug(message)

    def note(self, message: str) -> None:
        """Log something that the user should read."""
        _logger.info(message)

    def understood(self, lines: Mapping[str, str]) -> None:
        """Log how a log of interactions was understood."""
        for heading, text in lines.items():
            _logger.info("%s: %s", heading, text)

    def transferred(self, done: int, total: int | None) -> None:
        """Log the progress of a download."""
        _logger.debug("%d of %s bytes", done, total)
