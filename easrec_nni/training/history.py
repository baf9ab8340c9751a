"""``history.csv``: a row for each epoch of a run, written, read, and reported again when the run is resumed.

NNI's manager gives a trial that it resumes the id, and with it the folder (``NNI_OUTPUT_DIR``), that the trial had
before. A trial's state is in its folder, so it finds its own checkpoint there. Epochs may have ended while no manager
was there to take their results: :func:`tell_again` reports them.
"""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

from easrec_nni.common.errors import UserError
from easrec_nni.common.files import atomic_write

__all__ = ["read_history", "tell_again", "write_history"]


RESTART = "choose another --out, or --restart to begin anew"


def read_history(path: Path, remedy: str = RESTART, empty: str = "") -> list[dict[str, float]]:
    """Rows of a ``history.csv``, one for each epoch.

    Parameters
    ----------
    path
        The file.
    remedy
        What a user can do about a damaged file; ends the message.
    empty
        What an empty field stands for (``nan``); by default it is damage.

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
    """Write rows as CSV, with the columns of the first.

    A run that an earlier version began goes on with that one's columns.
    """
    with atomic_write(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]), extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)


def tell_again(on_epoch: Callable[[str, dict[str, float]], None], **folders: Path) -> None:
    """Report the epochs that earlier processes of a run have completed, in their order.

    Who listens leaves out what is known already, as :func:`~easrec_nni.trial.nni_io.report_intermediate` does.

    Parameters
    ----------
    on_epoch
        Told the phase and the row of every epoch.
    folders
        Folder of the run of each phase (``search``, ``retrain``), first one first; it need not be there.

    Raises
    ------
    UserError
        A history is damaged.
    """
    for phase, folder in folders.items():
        history = folder / "state" / "history.csv"
        for row in read_history(history) if history.is_file() else []:
            on_epoch(phase, row)
