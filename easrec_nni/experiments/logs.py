"""Why an experiment does not go on, from the logs of its manager and its tuner: NNI shows it as running."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from easrec_nni.common.readable import printable

__all__ = ["last_words", "manager_failure", "tuner_failure"]

TAIL_BYTES = 1 << 18
_BEGIN = re.compile(r"\[(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)\] (\w+) \(((?:[^()]|\([^)]*\))*)\) ?(.*)")
_TUNER_ENDS = ("nni.main", "nni.runtime.msg_dispatcher_base")  # loggers of what ends the tuner's process or its threads
_SEQUEL = ("WsConnection", "WsChannel")  # of the manager, when the other end is gone


@dataclass(frozen=True)
class _Entry:
    """An entry of a log: one line and, of an error, those of its traceback."""

    time: float
    level: str
    logger: str
    lines: tuple[str, ...]


def tuner_failure(folder: Path, since: float = 0.0) -> str:
    """What ended the tuner or the assessor; empty while both work.

    Parameters
    ----------
    folder
        Of the experiment.
    since
        Seconds since 1970: older entries are of a run before this one.
    """
    for entry in _entries(folder / "log" / "dispatcher.log", since):
        # Without a traceback it is about something else, such as a manager that is gone.
        if entry.level == "ERROR" and entry.logger.startswith(_TUNER_ENDS) and len(entry.lines) > 1:
            role = "assessor" if any("assess_trial" in line for line in entry.lines) else "tuner"
            return f"the {role} died: {entry.lines[-1]}"
    return ""


def manager_failure(folder: Path, since: float = 0.0) -> str:
    """The last error in the manager's log that is no sequel of another; empty if there is none."""
    reason = ""
    for entry in _entries(folder / "log" / "nnimanager.log", since):
        if "Initiate shutdown: SIG" in entry.lines[0]:
            break  # it was ended from outside, and errors after that are of the ending
        if entry.level in ("ERROR", "FATAL", "CRITICAL") and not entry.logger.startswith(_SEQUEL):
            reason = entry.lines[0]
    if "GPU" in reason:
        reason += "; leave trialGpuNumber, useActiveGpu and gpuIndices out where there is no GPU"
    return reason


def last_words(folder: Path) -> str:
    """The last line of the tuner's log, or that there is none."""
    entries = list(_entries(folder / "log" / "dispatcher.log", 0.0))
    return f"its log ends with: {entries[-1].lines[-1]}" if entries else "it has not written a log"


def _entries(file: Path, since: float) -> Iterator[_Entry]:
    """Entries of a log's last part, oldest first."""
    try:
        with file.open("rb") as stream:
            stream.seek(max(0, file.stat().st_size - TAIL_BYTES))
            text = stream.read(TAIL_BYTES).decode("utf-8", errors="replace")
    except OSError:
        return
    head: re.Match[str] | None = None
    lines: list[str] = []
    for line in [*text.splitlines(), "[0001-01-01 00:00:00] END ()"]:
        begin = _BEGIN.match(line)
        if begin is None:
            lines += [printable(line.strip())] if line.strip() else []
            continue
        if head is not None and _seconds(head[1]) >= since:
            yield _Entry(_seconds(head[1]), head[2], head[3], tuple(lines))
        head, lines = begin, [printable(begin[4])]


def _seconds(text: str) -> float:
    """Time of an entry in seconds since 1970, the end of its second: what it says is not older."""
    try:
        return datetime.strptime(text, "%Y-%m-%d %H:%M:%S").timestamp() + 1.0
    except (ValueError, OverflowError):
        return 0.0
