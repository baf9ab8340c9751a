"""Failures that watching detects although the manager reports `running`, with logs that NNI wrote."""

from __future__ import annotations

import io
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pytest
from rich.console import Console

from easrec_nni.common.errors import UserError
from easrec_nni.experiments import watching
from easrec_nni.experiments.experiment import Experiment, Trial
from easrec_nni.experiments.logs import last_log_line, manager_failure, tuner_failure
from easrec_nni.experiments.manager import ExperimentStatus
from easrec_nni.experiments.watching import trials_table, wait_for_first_trial, watch

STARTED = """\
[2026-11-26 20:14:01] INFO (nni.tuner.gridsearch/MainThread) Ignored optimize_mode "maximize"
[2026-11-26 20:14:01] INFO (nni.runtime.msg_dispatcher_base/MainThread) Dispatcher started
[2026-11-26 20:14:01] INFO (nni.runtime.msg_dispatcher/Thread-1 (command_queue_worker)) Initial search space: {}
"""
NO_TYPE = """\
[2026-11-26 20:14:01] ERROR (nni.runtime.msg_dispatcher_base/Thread-1 (command_queue_worker)) '_type'
Traceback (most recent call last):
  File "/site-packages/nni/runtime/msg_dispatcher_base.py", line 108, in command_queue_worker
    self.process_command(command, data)
  File "/site-packages/nni/common/hpo_utils/formatting.py", line 177, in _format_search_space
    formatted.append(_format_parameter(key, spec['_type'], spec['_value']))
                                            ~~~~^^^^^^^^^
KeyError: '_type'
"""
BAD_ARGUMENT = """\
[2026-11-26 20:15:59] ERROR (nni.main/MainThread) TpeTuner.__init__() got an unexpected keyword argument 'x'
Traceback (most recent call last):
  File "/site-packages/nni/__main__.py", line 85, in <module>
    main()
TypeError: TpeTuner.__init__() got an unexpected keyword argument 'x'
"""
ASSESSOR = """\
[2026-11-26 20:16:39] ERROR (nni.runtime.msg_dispatcher/Thread-2 (command_queue_worker)) Assessor error
[2026-11-26 20:16:39] ERROR (nni.runtime.msg_dispatcher_base/Thread-2 (command_queue_worker)) '<' not supported
Traceback (most recent call last):
  File "/site-packages/nni/runtime/msg_dispatcher.py", line 226, in _handle_intermediate_metric_data
    result = self.assessor.assess_trial(trial_job_id, ordered_history)
TypeError: '<' not supported between instances of 'int' and 'str'
[2026-11-26 20:16:39] INFO (nni.runtime.msg_dispatcher_base/MainThread) Dispatcher exiting...
"""
HARMLESS = """\
[2026-11-26 20:14:02] ERROR (nni.common.hpo_utils.validation/MainThread) search space "x" (choice) should only contain
[2026-11-26 20:14:02] ERROR (nni.runtime.msg_dispatcher_base/MainThread) Connection to NNI manager is broken.
"""
MANAGER = """\
[2026-11-26 20:14:29] INFO (NNIManager) submitTrialJob: form: {
  sequenceId: 0,
}
[2026-11-26 20:14:29] ERROR (GpuInfoCollector) Failed to collect GPU info, collector output: { success: false }
[2026-11-26 20:14:29] INFO (ShutdownManager) Initiate shutdown: training service initialize failed
[2026-11-26 20:14:29] ERROR (TrainingServiceCompat) Training srevice initialize failed: Failed to collect GPU info
    at TaskScheduler.init (/site-packages/nni_node/common/trial_keeper/task_scheduler/scheduler.js:16:19)
[2026-11-26 20:14:33] ERROR (WsConnection.__default__) Failed sending command. Drop connection: Error
"""
STOPPED = """\
[2026-11-26 20:16:30] INFO (ShutdownManager) Initiate shutdown: SIGTERM
[2026-11-26 20:16:30] ERROR (ShutdownManager) Error during shutting down NniManager: TypeError
"""
TRIAL = Trial("a", 0, "RUNNING", {}, Path())


@pytest.fixture
def experiment(tmp_path: Path) -> Experiment:
    (tmp_path / "log").mkdir()
    return Experiment("abcd1234", "tiny", tmp_path, 8080, True)


def write(experiment: Experiment, dispatcher: str = "", manager: str = "") -> None:
    (experiment.folder / "log" / "dispatcher.log").write_text(dispatcher)
    (experiment.folder / "log" / "nnimanager.log").write_text(manager)


@pytest.mark.parametrize(
    ("log", "reason"),
    [
        (STARTED, ""),
        (STARTED + HARMLESS, ""),
        (STARTED + NO_TYPE, "the tuner died: KeyError: '_type'"),
        (STARTED + HARMLESS + NO_TYPE + STARTED, "the tuner died: KeyError: '_type'"),
        (BAD_ARGUMENT, "the tuner died: TypeError: TpeTuner.__init__() got an unexpected keyword argument 'x'"),
        (STARTED + ASSESSOR, "the assessor died: TypeError: '<' not supported between instances of 'int' and 'str'"),
        ("\x1b[2J no log of NNI's\n" * 3, ""),
        (STARTED * 4000 + NO_TYPE, "the tuner died: KeyError: '_type'"),  # more than is read
    ],
)
def test_what_ended_a_tuner_is_its_exception(experiment: Experiment, log: str, reason: str) -> None:
    write(experiment, dispatcher=log)
    assert tuner_failure(experiment.folder) == reason


def test_what_is_older_than_a_resumption_does_not_count(experiment: Experiment) -> None:
    write(experiment, STARTED + NO_TYPE, MANAGER)
    moment = datetime(2026, 11, 26, 20, 14, 1).timestamp()
    assert tuner_failure(experiment.folder, moment + 0.9)  # within the second that the log names
    assert tuner_failure(experiment.folder, moment + 2) == ""
    assert manager_failure(experiment.folder, moment + 2)
    assert manager_failure(experiment.folder, moment + 60) == ""


def test_what_ended_a_manager_is_its_last_error_and_no_sequel(experiment: Experiment) -> None:
    assert manager_failure(experiment.folder) == ""
    assert last_log_line(experiment.folder) == "it has not written a log"
    write(experiment, STARTED, MANAGER)
    assert manager_failure(experiment.folder) == (
        "Training srevice initialize failed: Failed to collect GPU info; leave trialGpuNumber, useActiveGpu and "
        "gpuIndices out where there is no GPU"
    )
    assert last_log_line(experiment.folder) == "its log ends with: Initial search space: {}"
    write(experiment, STARTED, STOPPED)
    assert manager_failure(experiment.folder) == ""  # errors of a manager that was told to end


Run = Callable[..., None]


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> dict[str, object]:
    """Faked answers of manager and processes; waiting takes no time."""
    now = {"status": ExperimentStatus("RUNNING"), "trials": [], "lives": True, "time": 0.0}
    monkeypatch.setattr(watching, "experiment_status", lambda experiment: now["status"])
    monkeypatch.setattr(watching, "list_trials", lambda experiment: now["trials"])
    monkeypatch.setattr(watching, "tuner_is_alive", lambda experiment_id: now["lives"])
    monkeypatch.setattr(watching.time, "monotonic", lambda: now["time"])
    monkeypatch.setattr(watching.time, "sleep", lambda seconds: now.update(time=now["time"] + seconds))
    return now


def watched(experiment: Experiment) -> None:
    watch(experiment, Console(file=io.StringIO()))


both = pytest.mark.parametrize("look", [watched, wait_for_first_trial])


@both
def test_a_tuner_that_died_is_said_at_once(experiment: Experiment, answers: dict[str, object], look: Run) -> None:
    write(experiment, STARTED + NO_TYPE)
    with pytest.raises(UserError) as caught:
        look(experiment)
    assert caught.value.message == (
        f"experiment abcd1234 cannot continue: the tuner died: KeyError: '_type'; see {experiment.folder / 'log'}"
    )
    assert answers["time"] == 0


@both
def test_a_minute_without_a_trial_is_said(experiment: Experiment, answers: dict[str, object], look: Run) -> None:
    write(experiment, STARTED, "")
    with pytest.raises(UserError, match=r"there is no trial after 61 s: the tuner draws none, and its log ends"):
        look(experiment)
    assert answers["time"] == 61
    write(experiment, STARTED, MANAGER)
    with pytest.raises(UserError, match=r"no trial after .* Failed to collect GPU info; leave"):
        look(experiment)


@both
def test_a_tuner_that_is_gone_is_said(experiment: Experiment, answers: dict[str, object], look: Run) -> None:
    write(experiment, STARTED)
    answers["lives"] = False
    with pytest.raises(UserError, match="its tuner is gone, killed or out of memory"):
        look(experiment)
    assert answers["time"] < 15


@both
def test_a_manager_that_ended_is_said_with_its_reason(
    experiment: Experiment, answers: dict[str, object], look: Run
) -> None:
    answers["status"] = ExperimentStatus("STOPPED")
    with pytest.raises(UserError, match="abcd1234 ended early: its manager was stopped; see"):
        look(experiment)
    write(experiment, STARTED, MANAGER)
    with pytest.raises(UserError, match="ended early: .*Failed to collect GPU info; leave trialGpuNumber"):
        look(experiment)
    answers["status"] = ExperimentStatus("ERROR", ("tuner: no memory",))
    with pytest.raises(UserError, match="ended early: tuner: no memory; see"):
        look(experiment)


def test_a_first_trial_is_enough_to_start_and_not_to_watch(
    experiment: Experiment, answers: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    write(experiment, STARTED)
    answers["trials"] = [TRIAL]
    wait_for_first_trial(experiment)
    assert answers["time"] == 0
    seen: list[object] = []
    monkeypatch.setattr(watching, "list_trials", lambda each: seen.append(each) or answers["trials"])
    monkeypatch.setattr(
        watching, "experiment_status", lambda each: ExperimentStatus("DONE" if len(seen) > 90 else "RUNNING")
    )
    assert watch(experiment, Console(file=io.StringIO())) == [TRIAL]
    assert len(seen) > 90 and answers["time"] == 91


def test_a_resumed_experiment_is_looked_at_for_a_while(experiment: Experiment, answers: dict[str, object]) -> None:
    write(experiment, STARTED + NO_TYPE)
    later = datetime(2026, 11, 26, 20, 30).timestamp()
    wait_for_first_trial(experiment, since=later, patience=4)
    assert answers["time"] == 4
    with pytest.raises(UserError, match="the tuner died"):
        wait_for_first_trial(experiment, since=later - 3600, patience=4)


def test_an_experiment_without_more_trials_has_started_well(experiment: Experiment, answers: dict[str, object]) -> None:
    answers["status"] = ExperimentStatus("DONE")
    wait_for_first_trial(experiment)


def shown(*reports: dict[str, object]) -> str:
    console = Console(file=io.StringIO(), width=160, record=True)
    console.print(trials_table([Trial("abc", 0, "RUNNING", {"lambda": 0.1}, Path("nowhere"), reports, None)]))
    return console.export_text()


def test_the_network_before_its_training_is_no_epoch() -> None:
    search = {"phase": "search", "epoch": 0, "default": 0.1, "ndcg@10_full": 0.1}
    begin, first = ({"phase": "retrain", "epoch": epoch, "default": 0.2} for epoch in (-1, 0))
    assert "search epoch 1" in shown(search)
    assert "retrain epoch 0" in shown(search, begin)
    assert "retrain epoch 1" in shown(search, begin, first)


def test_the_figure_is_that_by_which_trials_are_compared() -> None:
    report = {"phase": "retrain", "epoch": 0, "ndcg@10_full": 0.4, "selection_users_ndcg@10_full": 0.25}
    assert "(0.2500)" in shown(report) and "0.4000" not in shown(report)
