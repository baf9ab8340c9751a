"""How long-running data steps tell their caller what they do."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Protocol

_logger = logging.getLogger(__name__)


class Reporter(Protocol):
    """Receives progress; the command line shows it, a library user may ignore it."""

    def step(self, message: str) -> None:
        """Take note that a step begins, such as "reading u.data"."""

    def note(self, message: str) -> None:
        """Take note of something that the user should read, such as what was left out."""

    def understood(self, lines: Mapping[str, str]) -> None:
        """Take note of what a log was understood as, before it is written: a line of text for each heading."""

    def transferred(self, done: int, total: int | None) -> None:
        """Take note of a download: bytes so far, and bytes in all where the server told."""


class LogReporter:
    """Reporter that writes to this module's logger (steps at debug, notes at info level)."""

    def step(self, message: str) -> None:
        """Log that a step begins."""
        _logger.debug(message)

    def note(self, message: str) -> None:
        """Log something that the user should read."""
        _logger.info(message)

    def understood(self, lines: Mapping[str, str]) -> None:
        """Log what a log was understood as."""
        for heading, text in lines.items():
            _logger.info("%s: %s", heading, text)

    def transferred(self, done: int, total: int | None) -> None:
        """Log the progress of a download."""
        _logger.debug("%d of %s bytes", done, total)
