"""Errors that the user can fix."""

from __future__ import annotations

from easrec_nni.common.readable import printable

LONGEST_MESSAGE = 2000  # characters


class UserError(Exception):
    """A mistake in the toolkit's input: an option, a file, a folder, a name.

    The command line prints the message on one line and exits with code 2, without a traceback.

    Parameters
    ----------
    message : str
        One line that says what is wrong and how to fix it.

    Examples
    --------
    >>> raise UserError("no file log.csv: check the path")
    Traceback (most recent call last):
    easrec_nni.common.errors.UserError: no file log.csv: check the path
    """

    def __init__(self, message: str) -> None:
        # Messages quote untrusted files: control sequences must not reach the terminal.
        line = printable(" ".join(message.split()))
        super().__init__(line if len(line) <= LONGEST_MESSAGE else line[:LONGEST_MESSAGE] + "…")

    @property
    def message(self) -> str:
        """The line shown to the user."""
        return str(self.args[0])


class DivergedError(UserError, ValueError):
    """Losses, weights or scores that are not finite; settings such as the learning rate need a change."""
