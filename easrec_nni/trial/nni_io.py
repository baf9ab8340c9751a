"""A trial's side of NNI: its parameters, its reports, its folder, its share of the cores.

Everything works outside an experiment too, where there are no parameters and reports go nowhere. No report can break a
trial: where the manager is gone, a line in the log is all that is left of it, and the process that NNI starts when the
experiment is resumed reports what is missing then, and nothing twice.
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
    """Hyper-parameters that the tuner sampled for this trial; none outside a trial.

    To be called once, before the first report.
    """
    if not in_trial():
        return {}

    nni.get_next_parameter()
    recorded = _recorded_parameters()
    if recorded is not None:
        # NNI's manager hands parameters out in the order in which trials ask: of two that start together, each may
        # get the other's, and the web UI would show results beside parameters that did not lead to them.
        nni.trial._params = recorded
    return dict(nni.get_current_parameter() or {})


def experiment_params() -> dict[str, Any]:
    """The document of this trial's experiment; empty outside a trial and where the manager cannot be asked."""
    if not _manager_is_here():
        return {}
    try:
        return dict(_ask_manager("experiment")["params"])
    except (OSError, *DAMAGE) as error:
        _logger.warning(
            "the experiment's document cannot be read, so that its tuner's optimize_mode is not checked and its "
            "trialConcurrency is taken to be 1: %s",
            error,
        )
        return {}


def _recorded_parameters() -> Any:
    """NNI's parameter record that the manager shows for this trial; None where it cannot be asked."""
    if not _manager_is_here():
        return None
    deadline = time.monotonic() + RECORD_SECONDS
    while True:
        try:
            job = _ask_manager(f"trial-jobs/{os.environ['NNI_TRIAL_JOB_ID']}")
            record = json.loads(job["hyperParameters"][0])
            if isinstance(record, dict) and "parameter_id" in record and "parameters" in record:
                return record
            problem: object = "its answer holds no parameters"
        except (OSError, *DAMAGE) as error:
            problem = error  # a trial can be faster than the manager's note of it
        if time.monotonic() > deadline:
            _logger.warning("the parameters in NNI's records cannot be compared with the ones received: %s", problem)
            return None
        time.sleep(0.2)


@dataclass
class ReportedEpochs:
    """Epochs of a trial that NNI has, and the place of each report in the trial's sequence of results.

    A trial that is resumed makes its reports again from the first one on. Numbering them in this order, whether NNI has
    them or not, gives each the number that it would have in an unbroken run. A report without an epoch cannot be told
    from another: it gets a number of its own and is always sent.

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
        """Number of a report that the trial makes now; the same when it makes it again."""
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
    """What NNI's manager has of a trial, of an earlier process of it; nothing if it cannot be asked."""
    reported = ReportedEpochs()
    try:
        for record in _ask_manager(f"metric-data/{trial_id}"):
            result = parse_result(record["data"])
            reported.has_final |= record["type"] == "FINAL"
            if record["type"] == "PERIODICAL":
                reported.in_nni.add((result.get("phase"), result.get("epoch")))
    except (OSError, *DAMAGE) as error:
        _logger.info("earlier reports of this trial are unknown: %s", error)
    return reported


@functools.cache
def _reported_epochs(trial_id: str) -> ReportedEpochs:
    """The answer at this process's first report: from then on it is the only one that reports."""
    return _query_reported_epochs(trial_id)


def report_intermediate(metrics: dict[str, Value]) -> None:
    """Show results of an epoch in the web UI; ``default`` is the curve that it draws first.

    Of results with a ``phase`` and an ``epoch``, each is reported once, whichever process of the trial did it, and has
    the place in NNI's sequence that it would have in an unbroken run.
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
    """Report the results of the trial, unless NNI has them already; ``default`` is what the tuner maximises."""
    if in_trial():
        if _query_reported_epochs(os.environ["NNI_TRIAL_JOB_ID"]).has_final:
            _logger.info("NNI has the final result already, of a process of this trial that outlived its manager")
            return
        _send(nni.report_final_result, metrics)


def _send(report: Callable[[dict[str, Value]], None], metrics: dict[str, Value]) -> None:
    """Report within a time limit: NNI has none, and a manager that hangs would hold the trial for ever."""

    def attempt() -> None:
        try:
            report(metrics)
        except Exception as error:  # whatever NNI or the network raise: the training is worth more than the report
            _logger.warning("a result was not reported, NNI's manager may be gone: %s", error)

    thread = threading.Thread(target=attempt, name="report", daemon=True)
    thread.start()
    thread.join(REPORT_SECONDS)
    if thread.is_alive():
        _logger.warning("NNI's manager did not take a result within %g seconds", REPORT_SECONDS)


def output_dir(default: str | Path = ".") -> Path:
    """Folder for a trial's files, ``NNI_OUTPUT_DIR``; `default` outside a trial."""
    return Path(os.environ["NNI_OUTPUT_DIR"] if in_trial() and "NNI_OUTPUT_DIR" in os.environ else default)


def tensorboard_dir(default: str | Path = ".") -> Path:
    """Folder for a trial's TensorBoard files: ``tensorboard`` in :func:`output_dir`.

    The documentation of NNI 3.0 has trials write there, and its own manager looks for them elsewhere: in
    ``trials/<id>/output/tensorboard`` of the experiment. On the manager's machine that becomes a link to the folder.
    """
    folder = output_dir(default) / "tensorboard"
    if in_trial() and os.environ.get("NNI_PLATFORM") == "local":
        # <experiment>/environments/<environment>/trials/<id> is what NNI calls the output directory.
        output = output_dir().resolve()
        link = output.parents[3] / "trials" / output.name / "output" / "tensorboard"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            link.parent.mkdir(parents=True, exist_ok=True)
            if link.is_dir() and not link.is_symlink():  # the button was pressed before the trial came here
                link.rmdir()
            if not link.is_symlink():
                link.symlink_to(folder.resolve(), target_is_directory=True)
        except (OSError, IndexError) as error:
            _logger.warning("the web UI's TensorBoard button will not find this trial: %s", error)
    return folder


def trial_threads(concurrency: int | None = None) -> int:
    """Threads that this trial may use: cores // concurrency, at least 1.

    Two trials that use all cores wait for each other's threads and are a hundred times slower. On another machine,
    where the manager cannot be asked how many trials share the cores, ``OMP_NUM_THREADS`` says it: ``trialCommand:
    OMP_NUM_THREADS=4 …``.

    Parameters
    ----------
    concurrency
        ``trialConcurrency`` of the experiment; if not given, the manager is asked, and outside a trial it is 1.

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
    """``trialConcurrency`` as the manager has it; 1 outside a trial and where it cannot be asked."""
    value = experiment_params().get("trialConcurrency")
    return value if isinstance(value, int) else 1


def _manager_is_here() -> bool:
    """Whether the manager is on this machine: on another one the trial's channel leads to NNI's keeper of trials."""
    return in_trial() and os.environ["NNI_PLATFORM"] == "local"


def _ask_manager(api: str) -> Any:
    """Answer of the manager's REST API, which is where the trial's channel leads on the manager's own machine."""
    channel = urlsplit(os.environ.get("NNI_TRIAL_COMMAND_CHANNEL", ""))
    if not channel.netloc or not _manager_is_here():
        raise ManagerError("the trial has no channel to a manager on this machine")
    return ask(channel.netloc, api)
