"""Failures of manager and tuner from their logs: NNI shows such experiments as running."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from easrec_nni.common.readable import printable

__all__ = ["last_log_line", "manager_failure", "tuner_failure"]

TAIL_BYTES = 1 << 18
_BEGIN = re.compile(r"\[(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)\] (\w+) \(((?:[^()]|\([^)]*\))*)\) ?(.*)")
_FATAL_LOGGERS = ("nni.main", "nni.runtime.msg_dispatcher_base")  # log errors that end the tuner's process or threads
_FOLLOW_UP_LOGGERS = ("WsConnection", "WsChannel")  # log the manager's errors when the other end is gone


@dataclass(frozen=True)
class _Entry:
    """A log entry: its line and, for an error, the lines of the traceback."""

    time: float
    level: str
    logger: str
    lines: tuple[str, ...]


def tuner_failure(folder: Path, since: float = 0.0) -> str:
    """Error that ended the tuner or the assessor; empty if there is none.

    Parameters
    ----------
    folder
        Folder of the experiment.
    since
        Unix time in seconds; older entries belong to an earlier run.
    """
    for entry in _entries(folder / "log" / "dispatcher.log", since):
        # Errors without a traceback have other causes, such as a manager that is gone.
        if entry.level == "ERROR" and entry.logger.startswith(_FATAL_LOGGERS) and len(entry.lines) > 1:
            role = "assessor" if any("assess_trial" in line for line in entry.lines) else "tuner"
            return f"the {role} died: {entry.lines[-1]}"
    return ""


def manager_failure(folder: Path, since: float = 0.0) -> str:
    """Last error in the manager's log, without follow-up errors; empty if there is none."""
    reason = ""
    for entry in _entries(folder / "log" / "nnimanager.log", since):
        if "Initiate shutdown: SIG" in entry.lines[0]:
            break  # stopped from outside; errors after that belong to the shutdown
        if entry.level in ("ERROR", "FATAL", "CRITICAL") and not entry.logger.startswith(_FOLLOW_UP_LOGGERS):
            reason = entry.lines[0]
    if "GPU" in reason:
        reason += "; leave trialGpuNumber, useActiveGpu and gpuIndices out where there is no GPU"
    return reason


def last_log_line(folder: Path) -> str:
    """Description of the last line of the tuner's log."""
    entries = list(_entries(folder / "log" / "dispatcher.log", 0.0))
    return f"its log ends with: {entries[-1].lines[-1]}" if entries else "it has not written a log"


def _entries(file: Path, since: float) -> Iterator[_Entry]:
    """Entries in the last part of a log file, oldest first."""
    try:
        with file.open("rb") as stream:
            stream.seek(max(0, file.stat().st_size - TAIL_BYTES))
            text = stream.read(TAIL_BYTES).decode("utf-8", errors="replace")
    except OSError:
        return
    head: re.Match[str] | None = None
    lines: list[str] = []
    for line in [*text.splitlines(), "[0001-01-01 00:00:00] END ()"]:
        first_line = _BEGIN.match(line)
        if first_line is None:
            lines += [printable(line.strip())] if line.strip() else []
            continue
        if head is not None and _seconds(head[1]) >= since:
            yield _Entry(_seconds(head[1]), head[2], head[3], tuple(lines))
        head, lines = first_line, [printable(first_line[4])]


def _seconds(text: str) -> float:
    """Unix time of a log entry, rounded up to the end of its second."""
    try:
        return datetime.strptime(text, "%Y-%m-%d %H:%M:%S").timestamp() + 1.0
    except (ValueError, OverflowError):
        return 0.0
