"""Progress of dataset preparation in the terminal."""

from __future__ import annotations

from collections.abc import Mapping

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, SpinnerColumn, TaskID, TextColumn

from easrec_nni.common.readable import printable

__all__ = ["RichReporter"]


class RichReporter:
    """Reporter with a spinner for the current step and a progress bar for downloads."""

    def __init__(self, console: Console) -> None:
        self._console = console
        columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), BarColumn(), DownloadColumn())
        # In a file the bar would only leave empty lines.
        self._progress = Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
        self._task: TaskID | None = None

    def __enter__(self) -> RichReporter:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def step(self, message: str) -> None:
        """Show the current step."""
        if self._task is not None:
            self._progress.remove_task(self._task)
        self._task = self._progress.add_task(message, total=None)

    def note(self, message: str) -> None:
        """Print a permanent line."""
        self._console.print(printable(f"note: {message}"), markup=False, highlight=False, soft_wrap=True)

    def understood(self, lines: Mapping[str, str]) -> None:
        """Print what the log was understood as, with its headings in a column."""
        for heading, text in lines.items():
            self._console.print(printable(f"{heading + ':':12} {text}"), markup=False, highlight=False, soft_wrap=True)

    def transferred(self, done: int, total: int | None) -> None:
        """Update the download bar."""
        if self._task is not None:
            self._progress.update(self._task, completed=done, total=total)
