"""A trial's side of NNI: its parameters, its reports, its folder, its share of the cores.

Everything works outside an experiment too, where there are no parameters and reports go nowhere. NNI is imported inside
a trial only, as its import takes over stdout there. No report can break a trial: where the manager is gone, a line in
the log is all that is left of it.
"""

from __future__ import annotations

import json
import logging
import os
import threading
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

__all__ = [
    "in_trial",
    "output_dir",
    "report_final",
    "report_intermediate",
    "tensorboard_dir",
    "trial_number",
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
    import nni
    import nni.trial

    nni.get_next_parameter()
    recorded = _recorded_parameters()
    if recorded is not None:
        # NNI's manager hands parameters out in the order in which trials ask: of two that start together, each may
        # get the other's, and the web UI would show results beside parameters that did not lead to them.
        nni.trial._params = recorded
    return dict(nni.get_current_parameter() or {})


def _recorded_parameters() -> Any:
    """NNI's parameter record that the manager shows for this trial; None where it cannot be asked."""
    deadline = time.monotonic() + RECORD_SECONDS
    while True:
        try:
            job = _ask_manager(f"trial-jobs/{os.environ['NNI_TRIAL_JOB_ID']}")
            record = json.loads(job["hyperParameters"][0])
            if isinstance(record, dict) and "parameter_id" in record and "parameters" in record:
                return record
            problem: object = "its answer holds no parameters"
        except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
            problem = error  # a trial can be faster than the manager's note of it
        if time.monotonic() > deadline:
            _logger.warning("the parameters in NNI's records cannot be compared with the ones received: %s", problem)
            return None
        time.sleep(0.2)


def report_intermediate(metrics: dict[str, Any]) -> None:
    """Show results of an epoch in the web UI; ``default`` is the curve that it draws first."""
    if in_trial():
        import nni

        _send(nni.report_intermediate_result, metrics)


def report_final(metrics: dict[str, Any]) -> None:
    """Report the results of the trial; ``default`` is what the tuner maximises."""
    if in_trial():
        import nni

        _send(nni.report_final_result, metrics)


def _send(report: Callable[[dict[str, Any]], None], metrics: dict[str, Any]) -> None:
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


def trial_number() -> int:
    """Number of this trial in the web UI, from 0."""
    return int(os.environ.get("NNI_TRIAL_SEQ_ID") or 0) if in_trial() else 0


def trial_threads(concurrency: int | None = None) -> int:
    """Threads that this trial may use: cores // concurrency, at least 1.

    Two trials that use all cores wait for each other's threads and are a hundred times slower.

    Parameters
    ----------
    concurrency
        ``trialConcurrency`` of the experiment; if not given, the manager is asked, and outside a trial it is 1.

    Examples
    --------
    >>> trial_threads(concurrency=10_000)
    1
    """
    cores = len(os.sched_getaffinity(0))
    return max(1, cores // max(1, concurrency or _concurrency()))


def _concurrency() -> int:
    """``trialConcurrency`` as the manager knows it; 1 if nobody answers."""
    if not in_trial():
        return 1
    try:
        return int(_ask_manager("experiment")["params"]["trialConcurrency"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        _logger.warning("the experiment's concurrency is not known, 1 is assumed: %s", error)
        return 1


def _ask_manager(api: str) -> Any:
    """Answer of the manager's REST API, which is where the trial's channel leads on the manager's own machine."""
    channel = urlsplit(os.environ.get("NNI_TRIAL_COMMAND_CHANNEL", ""))
    if not channel.netloc:
        raise OSError("the trial has no channel to a manager")
    # Never through a proxy of the environment.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(f"http://{channel.netloc}/api/v1/nni/{api}", timeout=5) as answer:
        return json.load(answer)
