"""A trial's connection to NNI: parameters, reports, folders, share of the cores.

Everything works outside an experiment too, where there are no parameters and reports are dropped. A failed report
cannot break a trial: if the manager is gone, the failure is logged, and the trial's process in the resumed experiment
reports what is missing, and nothing twice.
"""

from __future__ import annotations

import functools
import json
import logging
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import nni
import nni.trial

from easrec_nni.common.documents import Value
from easrec_nni.common.threads import available_cores, available_threads
from easrec_nni.trial.manager_api import DAMAGE, ManagerError, ask, parse_result

__all__ = [
    "experiment_params",
    "in_trial",
    "output_dir",
    "report_final",
    "report_intermediate",
    "tensorboard_dir",
    "trial_parameters",
    "trial_threads",
]

REPORT_SECONDS = 30.0
RECORD_SECONDS = 10.0
_logger = logging.getLogger(__name__)


def in_trial() -> bool:
    """Whether this process is a trial of an NNI experiment."""
    return os.environ.get("NNI_PLATFORM", "unittest") != "unittest" and "NNI_TRIAL_JOB_ID" in os.environ


def trial_parameters() -> dict[str, Any]:
    """Hyper-parameters that the tuner sampled for this trial; empty outside a trial.

    Call it once, before the first report.
    """
    if not in_trial():
        return {}

    nni.get_next_parameter()
    recorded = _recorded_parameters()
    if recorded is not None:
        # NNI's manager hands out parameters in the order of the trials' requests: two trials that start together may
        # get each other's, and the web UI would show results beside the wrong parameters.
        nni.trial._params = recorded
    return dict(nni.get_current_parameter() or {})


def experiment_params() -> dict[str, Any]:
    """Document of this trial's experiment; empty outside a trial or without a reachable manager."""
    if not _manager_is_here():
        return {}
    try:
        return dict(_query_manager("experiment")["params"])
    except (OSError, *DAMAGE) as error:
        _logger.warning(
            "cannot read the experiment's document: the tuner's optimize_mode is not checked, and trialConcurrency is "
            "assumed to be 1: %s",
            error,
        )
        return {}


def _recorded_parameters() -> Any:
    """Manager's parameter record of this trial; None without a reachable manager."""
    if not _manager_is_here():
        return None
    deadline = time.monotonic() + RECORD_SECONDS
    while True:
        try:
            job = _query_manager(f"trial-jobs/{os.environ['NNI_TRIAL_JOB_ID']}")
            record = json.loads(job["hyperParameters"][0])
            if isinstance(record, dict) and "parameter_id" in record and "parameters" in record:
                return record
            problem: object = "its answer has no parameters"
        except (OSError, *DAMAGE) as error:
            problem = error  # the trial can be faster than the manager's record of it
        if time.monotonic() > deadline:
            _logger.warning("cannot compare the received parameters with those in NNI's records: %s", problem)
            return None
        time.sleep(0.2)


@dataclass
class ReportedEpochs:
    """Epochs that NNI already has, and sequence numbers of a trial's reports.

    A resumed trial repeats its reports from the first one. Numbering them in this order, whether NNI has them or not,
    gives each the number that it would have in an uninterrupted run. A report without an epoch is indistinguishable
    from others: it gets a new number and is always sent.

    Attributes
    ----------
    in_nni
        Phases and epochs that NNI has.
    has_final
        Whether NNI has a final result.

    Examples
    --------
    >>> reported = ReportedEpochs({("search", 0)})
    >>> [reported.sequence_number("search", epoch) for epoch in (0, 1, None, None, 1)]
    [0, 1, 2, 3, 1]
    >>> reported.seen("search", 0), reported.seen("search", 1), reported.seen("search", None)
    (True, False, False)
    """

    in_nni: set[tuple[Any, Any]] = field(default_factory=set)
    has_final: bool = False
    _numbers: dict[tuple[Any, Any], int] = field(default_factory=dict)
    _reports: int = 0

    def sequence_number(self, phase: Any, epoch: Any) -> int:
        """Sequence number of a report; the same when the report is repeated."""
        if (phase, epoch) in self._numbers:
            return self._numbers[phase, epoch]
        number, self._reports = self._reports, self._reports + 1
        if epoch is not None:
            self._numbers[phase, epoch] = number
        return number

    def seen(self, phase: Any, epoch: Any) -> bool:
        """Whether NNI has this epoch."""
        return epoch is not None and (phase, epoch) in self.in_nni


def _query_reported_epochs(trial_id: str) -> ReportedEpochs:
    """Query the manager for reports of earlier processes of this trial; none if it does not answer."""
    reported = ReportedEpochs()
    try:
        for record in _query_manager(f"metric-data/{trial_id}"):
            result = parse_result(record["data"])
            reported.has_final |= record["type"] == "FINAL"
            if record["type"] == "PERIODICAL":
                reported.in_nni.add((result.get("phase"), result.get("epoch")))
    except (OSError, *DAMAGE) as error:
        _logger.info("earlier reports of this trial are unknown: %s", error)
    return reported


@functools.cache
def _reported_epochs(trial_id: str) -> ReportedEpochs:
    """The trial's reports, queried at this process's first report; afterwards it is the only reporter."""
    return _query_reported_epochs(trial_id)


def report_intermediate(metrics: dict[str, Value]) -> None:
    """Report the results of an epoch; ``default`` is the curve that the web UI draws first.

    A result with a ``phase`` and an ``epoch`` is reported once, by whichever process of the trial, with the sequence
    number that it would have in an uninterrupted run.
    """
    if not in_trial():
        return
    reported = _reported_epochs(os.environ["NNI_TRIAL_JOB_ID"])
    phase, epoch = metrics.get("phase"), metrics.get("epoch")
    number = reported.sequence_number(phase, epoch)
    if reported.seen(phase, epoch):
        return
    reported.in_nni.add((phase, epoch))

    def report(metrics: dict[str, Value]) -> None:
        nni.trial.overwrite_intermediate_seq(number)
        nni.report_intermediate_result(metrics)

    _send(report, metrics)


def report_final(metrics: dict[str, Value]) -> None:
    """Report the final result, unless NNI already has it; the tuner maximises ``default``."""
    if in_trial():
        if _query_reported_epochs(os.environ["NNI_TRIAL_JOB_ID"]).has_final:
            _logger.info("NNI already has the final result, from a process of this trial that outlived its manager")
            return
        _send(nni.report_final_result, metrics)


def _send(report: Callable[[dict[str, Value]], None], metrics: dict[str, Value]) -> None:
    """Send a report with a time limit: NNI has none, and a manager that hangs would block the trial forever."""

    def attempt() -> None:
        try:
            report(metrics)
        except Exception as error:  # any error of NNI or the network: the training matters more than the report
            _logger.warning("a result was not reported, NNI's manager may be gone: %s", error)

    thread = threading.Thread(target=attempt, name="report", daemon=True)
    thread.start()
    thread.join(REPORT_SECONDS)
    if thread.is_alive():
        _logger.warning("NNI's manager did not take a result within %g seconds", REPORT_SECONDS)


def output_dir(default: str | Path = ".") -> Path:
    """Folder for the trial's files: ``NNI_OUTPUT_DIR``, or `default` outside a trial."""
    return Path(os.environ["NNI_OUTPUT_DIR"] if in_trial() and "NNI_OUTPUT_DIR" in os.environ else default)


def tensorboard_dir(default: str | Path = ".") -> Path:
    """Folder for the trial's TensorBoard files: ``tensorboard`` in :func:`output_dir`.

    NNI 3.0 documents this folder, but its manager reads ``trials/<id>/output/tensorboard`` of the experiment. On the
    manager's machine that path becomes a link to this folder.
    """
    folder = output_dir(default) / "tensorboard"
    if in_trial() and os.environ.get("NNI_PLATFORM") == "local":
        # NNI's output directory is <experiment>/environments/<environment>/trials/<id>.
        output = output_dir().resolve()
        link = output.parents[3] / "trials" / output.name / "output" / "tensorboard"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            link.parent.mkdir(parents=True, exist_ok=True)
            if link.is_dir() and not link.is_symlink():  # the web UI's button was pressed before this point
                link.rmdir()
            if not link.is_symlink():
                link.symlink_to(folder.resolve(), target_is_directory=True)
        except (OSError, IndexError) as error:
            _logger.warning("the web UI's TensorBoard button will not find this trial: %s", error)
    return folder


def trial_threads(concurrency: int | None = None) -> int:
    """Number of threads for this trial: cores // concurrency, at least 1.

    Two trials that both use all cores wait for each other's threads and are a hundred times slower. On another machine
    than the manager's, the number of trials that share the cores is unknown, and ``OMP_NUM_THREADS`` sets the threads:
    ``trialCommand: OMP_NUM_THREADS=4 …``.

    Parameters
    ----------
    concurrency
        ``trialConcurrency`` of the experiment; by default the manager's value, or 1 outside a trial.

    Examples
    --------
    >>> trial_threads(concurrency=10_000)
    1
    """
    cores = available_cores()
    if concurrency is None and in_trial() and not _manager_is_here():
        return min(cores, available_threads())
    return max(1, cores // max(1, concurrency or _concurrency()))


def _concurrency() -> int:
    """``trialConcurrency`` from the manager; 1 outside a trial or without a reachable manager."""
    value = experiment_params().get("trialConcurrency")
    return value if isinstance(value, int) else 1


def _manager_is_here() -> bool:
    """Whether the manager is on this machine; elsewhere the trial's channel leads to NNI's trial keeper."""
    return in_trial() and os.environ["NNI_PLATFORM"] == "local"


def _query_manager(api: str) -> Any:
    """Query the manager's REST API, to which the trial's channel leads on the manager's own machine."""
    channel = urlsplit(os.environ.get("NNI_TRIAL_COMMAND_CHANNEL", ""))
    if not channel.netloc or not _manager_is_here():
        raise ManagerError("this trial has no channel to a manager on this machine")
    return ask(channel.netloc, api)
