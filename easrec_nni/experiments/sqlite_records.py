"""SQLite file of an NNI experiment, read when its manager is gone."""

from __future__ import annotations

import shutil
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from easrec_nni.common.errors import UserError
from easrec_nni.experiments.experiment import ENDED
from easrec_nni.experiments.trial_rows import MetricRow, TrialRow, seconds

__all__ = ["open_records", "read_rows"]

READING_SECONDS = 60.0
_EVENTS = "select timestamp, trialJobId, event, data, sequenceId from TrialJobEvent order by timestamp, rowid"
_METRICS = "select trialJobId, parameterId, type, sequence, data from MetricData order by timestamp, rowid"


def read_rows(file: Path) -> tuple[list[TrialRow], list[MetricRow]]:
    """Read rows of trials and metrics from an experiment's SQLite file.

    Raises
    ------
    UserError
        The file cannot be read.
    """
    try:
        with open_records(file) as database:
            events, metrics = database.execute(_EVENTS).fetchall(), database.execute(_METRICS).fetchall()
    except (sqlite3.Error, OSError) as error:
        raise UserError(f"cannot read NNI's records {file}: {error}") from None
    trials: dict[str, TrialRow] = {}
    for moment, trial_id, event, data, number in events:
        if not trial_id:  # results of another experiment that the user imported
            continue
        row = trials.get(str(trial_id)) or TrialRow(str(trial_id))
        row = replace(row, status=str(event), ended=seconds(moment) if event in ENDED else None)
        row = replace(row, number=int(number or row.number)).sampled(data)
        if event == "RUNNING" and row.started is None:
            row = replace(row, started=seconds(moment))
        trials[row.id] = row
    # Without a manager, unfinished trials have been stopped.
    rows = [row if row.status in ENDED else replace(row, status="STOPPED") for row in trials.values()]
    return rows, [MetricRow.read(*metric) for metric in metrics]


@contextmanager
def open_records(file: Path) -> Iterator[sqlite3.Connection]:
    """Open an experiment's SQLite file for reading, also while or after a manager uses it.

    Raises
    ------
    sqlite3.Error, OSError
        The file cannot be read.
    """
    with _recovered_copy(file) as address, closing(sqlite3.connect(address, uri=True, timeout=5)) as database:
        _harden(database)
        yield database


@contextmanager
def _recovered_copy(file: Path) -> Iterator[str]:
    """URI of an SQLite file for reading, without a killed manager's incomplete transaction.

    SQLite rolls it back with the journal that the manager left, which needs a writable file. The records belong to NNI,
    so this is done in a copy.
    """
    journal = file.with_name(f"{file.name}-journal")
    if not journal.is_file():
        yield f"{file.resolve().as_uri()}?mode=ro"
        return
    with TemporaryDirectory(prefix="easrec-") as folder:
        copy = Path(folder) / file.name
        shutil.copyfile(file, copy)
        shutil.copyfile(journal, copy.with_name(journal.name))
        yield f"{copy.as_uri()}?mode=rw"


def _harden(database: sqlite3.Connection) -> None:
    """Limit the time of queries: views of a hostile file can compute forever."""
    deadline = time.monotonic() + READING_SECONDS
    database.execute("pragma trusted_schema = off")
    database.set_progress_handler(lambda: int(time.monotonic() > deadline), 100_000)
