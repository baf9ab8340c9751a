"""SQLite file of an NNI experiment, which is read where its manager is gone."""

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
    """Trials and metrics of an experiment.

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
    # Where no manager is left to finish a trial, it has been stopped.
    rows = [row if row.status in ENDED else replace(row, status="STOPPED") for row in trials.values()]
    return rows, [MetricRow.read(*metric) for metric in metrics]


@contextmanager
def open_records(file: Path) -> Iterator[sqlite3.Connection]:
    """The SQLite file of an experiment, to be read only; the manager may be at work on it, or have been killed at it.

    Raises
    ------
    sqlite3.Error, OSError
        It cannot be read.
    """
    with _recovered_copy(file) as address, closing(sqlite3.connect(address, uri=True, timeout=5)) as database:
        _harden(database)
        yield database


@contextmanager
def _recovered_copy(file: Path) -> Iterator[str]:
    """Address of an SQLite file to read, without what a manager that was killed had only half written.

    SQLite takes that back by means of the journal that the manager left, which needs a file that can be written to. The
    records belong to NNI: it is done in a copy.
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
    """Limit the time that queries take: views and generated columns of a hostile file can compute for ever."""
    deadline = time.monotonic() + READING_SECONDS
    database.execute("pragma trusted_schema = off")
    database.set_progress_handler(lambda: int(time.monotonic() > deadline), 100_000)
