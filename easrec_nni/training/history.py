"""``history.csv``, one row per epoch: writing, reading, and replay on resumption.

NNI's manager resumes a trial under the same id, and so with the same folder (``NNI_OUTPUT_DIR``), where the trial finds
its checkpoint. Epochs may have ended while no manager was running to take their results: :func:`replay_history` reports
them.
"""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

from easrec_nni.common.errors import UserError
from easrec_nni.common.files import atomic_write
from easrec_nni.common.run_files import HISTORY_FILE

__all__ = ["read_history", "replay_history", "write_history"]


RESTART = "choose another --out, or pass --restart to start over"


def read_history(path: Path, remedy: str = RESTART, empty: str = "") -> list[dict[str, float]]:
    """Read the rows of a ``history.csv``, one per epoch.

    Parameters
    ----------
    path
        Path of the file.
    remedy
        Fix for a damaged file, shown at the end of the message.
    empty
        Replacement of empty fields (``nan``); by default an empty field counts as damage.

    Raises
    ------
    UserError
        The file is missing or damaged.
    """
    try:
        with path.open(newline="", encoding="utf-8") as file:
            return [
                {name: float(empty if value == "" else value) for name, value in row.items()}
                for row in csv.DictReader(file)
            ]
    except (OSError, ValueError, TypeError, csv.Error):
        raise UserError(f"{path} is damaged or missing: {remedy}") from None


def write_history(rows: list[dict[str, float]], path: Path) -> None:
    """Write rows as CSV, with the columns of the first row.

    A run started by an earlier version therefore keeps that version's columns.
    """
    with atomic_write(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]), extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)


def replay_history(on_epoch: Callable[[str, dict[str, float]], None], **folders: Path) -> None:
    """Report the epochs completed by earlier processes of a run, in order.

    The callback must skip epochs already reported, as :func:`~easrec_nni.trial.nni_io.report_intermediate` does.

    Parameters
    ----------
    on_epoch
        Function called with the phase and the row of every epoch.
    folders
        Run folder of each phase (``search``, ``retrain``), in order; missing folders are skipped.

    Raises
    ------
    UserError
        A history file is damaged.
    """
    for phase, folder in folders.items():
        history = folder / "state" / HISTORY_FILE
        for row in read_history(history) if history.is_file() else []:
            on_epoch(phase, row)
