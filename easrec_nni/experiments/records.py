"""Experiments and trials as NNI 3.0 records them: in its list of experiments, its REST API and its SQLite files."""

from __future__ import annotations

import difflib
import json
import math
import os
import re
import shutil
import sqlite3
import time
import urllib.request
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from http.client import HTTPException
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from easrec_nni.common.errors import UserError
from easrec_nni.common.readable import printable
from easrec_nni.trial.manager_api import DAMAGE, parse_result

__all__ = [
    "Experiment",
    "Trial",
    "best_trial",
    "find_experiment",
    "is_experiment_id",
    "list_experiments",
    "list_trials",
    "open_records",
    "request",
    "shown_parameters",
]


REQUEST_SECONDS = 10.0
READING_SECONDS = 60.0
_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_OVER = frozenset({"SUCCEEDED", "FAILED", "USER_CANCELED", "SYS_CANCELED", "EARLY_STOPPED", "STOPPED"})
# NNI is asked on this machine: a proxy of the environment has no business there.
_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def nni_home() -> Path:
    """Folder in which NNI keeps its list of experiments."""
    return Path.home() / "nni-experiments"


@dataclass(frozen=True)
class Experiment:
    """One experiment of NNI.

    Attributes
    ----------
    id
        NNI's name of it, eight letters and digits.
    name
        ``experimentName`` of its YAML file.
    folder
        Where NNI keeps its records and its trials' files.
    port
        Of its web UI and REST API, while it runs.
    running
        Whether its manager answers.
    """

    id: str
    name: str
    folder: Path
    port: int
    running: bool

    @property
    def url(self) -> str:
        """Address of the web UI."""
        return f"http://127.0.0.1:{self.port}"


@dataclass(frozen=True)
class Trial:
    """One trial of an experiment.

    Attributes
    ----------
    id, number
        NNI's name of it, and its number in the web UI.
    status
        ``WAITING``, ``RUNNING``, ``SUCCEEDED``, ``FAILED``, ``USER_CANCELED`` …; ``STOPPED`` if the experiment ended
        while it ran.
    parameters
        What the tuner sampled.
    folder
        What the trial knows as ``NNI_OUTPUT_DIR``: its files and logs.
    intermediate
        Reported results in order.
    final
        The final result, or None; ``default`` is what the tuner maximises.
    started, ended
        Seconds since 1970, or None.
    """

    id: str
    number: int
    status: str
    parameters: dict[str, Any]
    folder: Path
    intermediate: tuple[dict[str, Any], ...] = ()
    final: dict[str, Any] | None = None
    started: float | None = field(default=None, repr=False)
    ended: float | None = field(default=None, repr=False)

    @property
    def is_over(self) -> bool:
        """Whether nothing more will come of it."""
        return self.status in _OVER

    @property
    def score(self) -> float | None:
        """Final result that the tuner maximises, if there is a finite one."""
        return self.figure("default")

    def figure(self, name: str) -> float | None:
        """Finite number of that name in the final result, if there is one."""
        value = (self.final or {}).get(name)
        try:
            number = float(value) if isinstance(value, int | float) else math.nan
        except OverflowError:  # JSON's whole numbers have no limit
            return None
        return number if math.isfinite(number) else None

    def last_error(self) -> str:
        """Last line that the trial wrote to stderr: the message of its exception."""
        try:
            text = (self.folder / "trial.stderr").read_text(encoding="utf-8", errors="replace")
        except OSError:
            return ""
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        return printable(lines[-1]) if lines else ""


def request(port: int, api: str, seconds: float = REQUEST_SECONDS) -> Any:
    """Answer of a manager's REST API.

    Raises
    ------
    OSError
        Nobody answers there.
    ValueError
        Somebody does, but not NNI.
    """
    try:
        with _opener.open(f"http://127.0.0.1:{port}/api/v1/nni/{api}", timeout=seconds) as answer:
            return json.load(answer)
    except (HTTPException, RecursionError) as error:  # another program has the port now
        raise ValueError(f"port {port} does not answer as NNI: {error}") from None


def _answers(experiment_id: str, port: int) -> bool:
    """Whether the manager of this very experiment listens on the port: another one may have taken it since."""
    try:
        return bool(request(port, "experiment", 3.0)["id"] == experiment_id)
    except (OSError, ValueError, KeyError, TypeError):
        return False


def list_experiments() -> dict[str, dict[str, Any]]:
    """NNI's list of the experiments of this user, oldest first, by id, as it is written."""
    file = nni_home() / ".experiment"
    try:
        entries = json.loads(file.read_text(encoding="utf-8"))
        return {str(key): value for key, value in entries.items() if isinstance(value, dict)}
    except (OSError, *DAMAGE):
        return {}


def is_experiment_id(text: str) -> bool:
    """Whether NNI could name an experiment so; what leads out of its folder is no name."""
    return _ID.fullmatch(text) is not None


def find_experiment(experiment_id: str) -> Experiment:
    """Experiment of this user by id, running or finished.

    Raises
    ------
    UserError
        There is none, or its files are gone.
    """
    entries = list_experiments()
    entry = entries.get(experiment_id, {})
    folder = Path(str(entry.get("logDir") or nni_home())) / experiment_id
    if not is_experiment_id(experiment_id) or not (entry or os.path.isdir(folder)):
        near = difflib.get_close_matches(experiment_id, entries, n=1) or list(entries)[-3:]
        known = f"; did you mean {' or '.join(near)}?" if near else ""
        raise UserError(f"NNI knows no experiment {experiment_id!r} of this user{known}")
    if not os.path.isdir(folder):  # unlike Path's, it takes a path that is too long for one that is not there
        raise UserError(f"the files of experiment {experiment_id} are gone: there is no {folder}")
    listed = entry.get("port")
    port = listed if type(listed) is int and 0 < listed < 65536 else 0
    running = entry.get("status") != "STOPPED" and port > 0 and _answers(experiment_id, port)
    return Experiment(experiment_id, str(entry.get("experimentName") or ""), folder, port, running)


def list_trials(experiment: Experiment) -> list[Trial]:
    """All trials of an experiment, first one first: from its manager, or, where that is gone, from its records.

    Raises
    ------
    UserError
        The records cannot be read.
    """
    if experiment.running:
        try:
            jobs, metrics = request(experiment.port, "trial-jobs"), request(experiment.port, "metric-data")
            return _assemble(experiment, [_from_job(job) for job in jobs], metrics)
        except (OSError, *DAMAGE):
            pass  # stopped since: the records tell the rest
    file = experiment.folder / "db" / "nni.sqlite"
    try:
        return _assemble(experiment, *_from_records(file))
    except DAMAGE as error:
        raise UserError(
            f"cannot read NNI's records {file}: they are damaged ({type(error).__name__}: {error})"
        ) from None


def best_trial(trials: Iterable[Trial]) -> Trial | None:
    """Trial with the largest final result, the earlier one where two are equal; None if no trial has one."""
    scored = [(trial.score, -trial.number, trial) for trial in trials if trial.score is not None]
    return max(scored, key=lambda entry: entry[:2])[2] if scored else None


def _sampled(text: str | None) -> dict[str, Any]:
    """``parameters`` and ``parameter_id`` of what the tuner sampled, as NNI writes it; empty where there is none."""
    try:
        record = json.loads(text or "{}")
        parameters, number = record.get("parameters"), record.get("parameter_id")
    except DAMAGE:
        return {}
    return {"parameters": shown_parameters(parameters), "parameter_id": number} if isinstance(parameters, dict) else {}


def shown_parameters(parameters: dict[str, Any]) -> dict[str, Any]:
    """What was sampled: a trial of a ``NasExperiment`` has a whole model as its parameters, and its choices in there.

    Examples
    --------
    >>> shown_parameters({"lambda": 0.1}), shown_parameters({"mutation_summary": {"depth": 2}, "status": "frozen"})
    ({'lambda': 0.1}, {'depth': 2})
    """
    choices = parameters.get("mutation_summary")
    return choices if isinstance(choices, dict) else parameters


def _from_job(job: dict[str, Any]) -> dict[str, Any]:
    """Row of a trial from the REST API."""
    sampled = job.get("hyperParameters") or [None]
    return {
        "id": str(job["trialJobId"]),
        "number": int(job.get("sequenceId", 0)),
        "status": str(job.get("status", "UNKNOWN")),
        "parameters": {},
        **_sampled(sampled[0]),
        "started": job.get("startTime"),
        "ended": job.get("endTime"),
    }


def _from_records(file: Path) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Rows of trials and metrics from the SQLite file of an experiment whose manager is gone."""
    try:
        with open_records(file) as database:
            events = database.execute(
                "select timestamp, trialJobId, event, data, sequenceId from TrialJobEvent order by timestamp, rowid"
            ).fetchall()
            rows = database.execute(
                "select trialJobId, parameterId, type, sequence, data from MetricData order by timestamp, rowid"
            ).fetchall()
    except (sqlite3.Error, OSError) as error:
        raise UserError(f"cannot read NNI's records {file}: {error}") from None
    trials: dict[str, dict[str, Any]] = {}
    for moment, trial_id, event, data, number in events:
        if not trial_id:  # results of another experiment that the user imported
            continue
        trial = trials.setdefault(str(trial_id), {"id": str(trial_id), "parameters": {}, "started": None})
        trial["status"], trial["ended"] = str(event), moment if event in _OVER else None
        trial["number"] = int(number or trial.get("number") or 0)
        trial |= _sampled(data)
        if event == "RUNNING" and trial["started"] is None:
            trial["started"] = moment
    for trial in trials.values():
        if trial["status"] not in _OVER:  # nobody is left to finish it
            trial["status"] = "STOPPED"
    names = ("trialJobId", "parameterId", "type", "sequence", "data")
    return list(trials.values()), [dict(zip(names, row, strict=True)) for row in rows]


@contextmanager
def open_records(file: Path) -> Iterator[sqlite3.Connection]:
    """The SQLite file of an experiment, to be read only; the manager may be at work on it, or have been killed at it.

    Raises
    ------
    sqlite3.Error, OSError
        It cannot be read.
    """
    with _settled(file) as settled, closing(sqlite3.connect(settled, uri=True, timeout=5)) as database:
        _distrust(database)
        yield database


@contextmanager
def _settled(file: Path) -> Iterator[str]:
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


def _distrust(database: sqlite3.Connection) -> None:
    """Keep a file that somebody made from computing for ever, which views and generated columns can."""
    deadline = time.monotonic() + READING_SECONDS
    database.execute("pragma trusted_schema = off")
    database.set_progress_handler(lambda: int(time.monotonic() > deadline), 100_000)


def _assemble(experiment: Experiment, rows: list[dict[str, Any]], metrics: list[dict[str, Any]]) -> list[Trial]:
    intermediate: dict[str, list[tuple[int, dict[str, Any]]]] = {}
    final: dict[str, dict[str, Any]] = {}
    had = _really_had(rows, metrics)
    for metric in metrics:
        result = parse_result(metric["data"])
        if metric["type"] == "FINAL":
            final[metric["trialJobId"]] = result
        else:
            intermediate.setdefault(metric["trialJobId"], []).append((int(metric["sequence"]), result))
    trials = []
    for row in rows:
        if not is_experiment_id(row["id"]):  # it becomes a part of a path
            raise ValueError(f"{row['id'][:80]!r} is no id of a trial")
        reported = sorted(intermediate.get(row["id"], []), key=lambda entry: entry[0])
        times = {name: row[name] / 1000 if row[name] else None for name in ("started", "ended")}
        folder = experiment.folder / "environments" / "local-env" / "trials" / row["id"]
        results = _each_epoch_once(result for _, result in reported)
        trials.append(
            Trial(
                row["id"],
                row["number"],
                row["status"],
                had.get(row["id"]) or row["parameters"],
                folder,
                results,
                final.get(row["id"]),
                **times,
            )
        )
    return sorted(trials, key=lambda trial: trial.number)


def _really_had(rows: list[dict[str, Any]], metrics: list[dict[str, Any]]) -> dict[str, Any]:
    """Parameters by trial, where they are others than NNI's records of the trial say.

    Of two trials that start together NNI may give each the other's parameters: where a trial could not see that for
    itself (see nni_trial_io), the number under which it reports tells which ones it really had. A resumed experiment
    may count these numbers anew; one that stands for several samples tells nothing.
    """
    own = {row["id"]: str(row["parameter_id"]) for row in rows if "parameter_id" in row}
    sampled: dict[str, list[Any]] = {}
    for row in rows:
        if "parameter_id" in row:
            sampled.setdefault(str(row["parameter_id"]), []).append(row["parameters"])
    had = {}
    for metric in metrics:
        number, trial = str(metric.get("parameterId")), metric["trialJobId"]
        if number != own.get(trial) and len(sampled.get(number, ())) == 1:
            had[trial] = sampled[number][0]
    return had


def _each_epoch_once(results: Iterable[dict[str, Any]]) -> tuple[dict[str, Any], ...]:
    """Results without the repetitions of a resumed trial on a machine that cannot ask what the manager knows."""
    kept: dict[Any, dict[str, Any]] = {}
    for result in results:
        epoch = (str(result.get("phase")), str(result["epoch"])) if "epoch" in result else len(kept)
        kept.setdefault(epoch, result)
    return tuple(kept.values())
