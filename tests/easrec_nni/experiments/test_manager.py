from __future__ import annotations

import io
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest
import yaml
from rich.console import Console

from easrec_nni.common.errors import UserError
from easrec_nni.experiments.experiment import Experiment, Trial
from easrec_nni.experiments.manager import (
    experiment_status,
    free_port,
    resume_experiment,
    running_experiment,
    start_experiment,
    stop_experiment,
)
from easrec_nni.experiments.processes import experiment_processes
from easrec_nni.experiments.records import find_experiment, list_trials
from easrec_nni.experiments.watching import watch
from easrec_nni.trial import nni_io as nni_trial_io
from tests.experiments import experiment_document, wait_for

# A module that needs no torch, for which a trial of this test need not wait.
TRIAL = """
import logging, os, sys, time
from easrec_nni.trial import nni_io as io
handler = logging.FileHandler(io.output_dir() / "warnings.log")  # beside NNI's, which it adds in a trial
handler.setLevel(logging.WARNING)
logging.getLogger().addHandler(handler)
if os.environ["NNI_TRIAL_SEQ_ID"] == "0":
    time.sleep(3)  # NNI then gives this trial's parameters to the next one
kind = io.trial_parameters()["kind"]
(io.output_dir() / "interpreter.txt").write_text(sys.executable)
(io.output_dir() / "threads.txt").write_text(str(io.trial_threads()))
for epoch in range(3):
    io.report_intermediate({"default": 0.1 * epoch, "phase": "search"})
if kind == "fails":
    raise RuntimeError("there is no dataset ml-100k")
if kind == "goes on":
    for second in range(120):
        time.sleep(1)
        io.report_intermediate({"default": 0.5, "phase": "retrain"})
        (io.output_dir() / "alive.txt").write_text(str(time.time()))
io.report_final({"default": 0.7, "madds_per_user": 1e6})
"""


@pytest.fixture
def make_config(nni_home: Path, tmp_path: Path) -> Callable[..., Path]:
    """Factory of experiment files."""
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "trial.py").write_text(TRIAL)

    def make(*kinds: str) -> Path:
        config = tmp_path / "code" / "tiny.yml"
        space = {"kind": {"_type": "choice", "_value": list(kinds)}}
        document = experiment_document(trialCommand="python3 trial.py", maxTrialNumber=len(kinds), searchSpace=space)
        config.write_text(yaml.safe_dump(document))
        return config

    return make


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


def addresses(pid: int) -> set[str]:
    return {
        entry.laddr.ip for entry in psutil.Process(pid).net_connections("tcp") if entry.status == psutil.CONN_LISTEN
    }


@pytest.mark.slow
def test_an_experiment_from_start_to_stop(make_config: Callable[..., Path], taken_port: int) -> None:
    lines: list[str] = []
    config = make_config("succeeds", "fails", "goes on")
    with running_experiment(config, taken_port, say=lines.append) as experiment:
        assert experiment.port > taken_port
        assert lines == [f"port {taken_port} is taken; the web UI is on {experiment.port}"]
        assert experiment.running and experiment.url == f"http://127.0.0.1:{experiment.port}"
        manager = next(entry for entry in experiment_processes(experiment.id) if "--experiment-id" in entry.cmdline())
        assert addresses(manager.pid) == {"127.0.0.1"}

        def reported() -> bool:
            trials = list_trials(experiment)
            return len(trials) == 3 and len(trials[2].intermediate) > 3 and trials[0].is_over and trials[1].is_over

        wait_for(reported)
        first, failed, running = list_trials(find_experiment(experiment.id))
        assert (first.status, first.score, first.parameters) == ("SUCCEEDED", 0.7, {"kind": "succeeds"})
        assert [report["default"] for report in first.intermediate] == pytest.approx([0, 0.1, 0.2])
        assert (failed.status, failed.final) == ("FAILED", None)
        assert failed.last_error() == "RuntimeError: there is no dataset ml-100k"
        assert (running.status, running.is_over) == ("RUNNING", False)
        assert running.intermediate[-1] == {"default": 0.5, "phase": "retrain"}
        assert (first.folder / "interpreter.txt").read_text() == str(Path(sys.executable).with_name("python3"))
        cores = len(os.sched_getaffinity(0))
        assert (first.folder / "threads.txt").read_text() == str(max(1, cores // 2))
        assert experiment_status(experiment).name in ("RUNNING", "NO_MORE_TRIAL")
    assert experiment_processes(experiment.id) == []
    assert free_port(experiment.port) == experiment.port
    assert experiment_status(experiment).name == "STOPPED"
    stopped = find_experiment(experiment.id)
    assert not stopped.running
    assert list_trials(stopped)[:2] == [first, failed]
    assert list_trials(stopped)[2].is_over


@pytest.mark.slow
def test_a_trial_survives_its_manager_and_is_found_and_ended(make_config: Callable[..., Path]) -> None:
    experiment = start_experiment(make_config("goes on"), 18_600)
    wait_for(lambda: any(trial.intermediate for trial in list_trials(experiment)))
    folder = list_trials(experiment)[0].folder
    manager = next(entry for entry in experiment_processes(experiment.id) if "--experiment-id" in entry.cmdline())
    manager.kill()
    manager.wait()
    killed = time.time()
    alive = folder / "alive.txt"
    wait_for(lambda: alive.exists() and float(alive.read_text() or 0) > killed + 2)  # empty while it is written
    assert "NNI's manager may be gone" in (folder / "warnings.log").read_text()
    assert experiment_status(experiment).name == "STOPPED"
    stopped = find_experiment(experiment.id)
    assert not stopped.running
    assert list_trials(stopped)[0].status == "STOPPED"
    stop_experiment(stopped)
    assert experiment_processes(experiment.id) == []


@pytest.mark.slow
def test_an_interrupt_while_nnictl_starts_leaves_nothing(make_config: Callable[..., Path], tmp_path: Path) -> None:
    config = make_config("goes on")

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, 1.0)
    try:
        with pytest.raises(KeyboardInterrupt):
            start_experiment(config, 18_700)
    finally:
        signal.signal(signal.SIGALRM, before)
    folders = list((tmp_path / "home" / "nni-experiments").glob("????????"))
    assert len(folders) == 1
    assert experiment_processes(folders[0].name) == []


@pytest.mark.parametrize(
    ("text", "words"),
    [("trialConcurrency: many", "NNI refuses"), ("[1, 2", "NNI refuses"), (None, "there is no experiment file")],
)
def test_a_file_that_nni_refuses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str | None, words: str) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    config = tmp_path / "bad.yml"
    if text is not None:
        config.write_text(text)
    with pytest.raises(UserError, match=words):
        start_experiment(config, 18_800)


def test_the_first_free_port_is_found(taken_port: int) -> None:
    assert free_port(taken_port) > taken_port
    assert free_port(free_port(20_000)) >= 20_000


def test_the_port_of_an_old_experiment_may_be_anothers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("easrec_nni.experiments.records.ask", lambda *_: {"id": "another"})
    monkeypatch.setenv("HOME", str(tmp_path))
    home = tmp_path / "nni-experiments"
    (home / "abcd1234").mkdir(parents=True)
    (home / ".experiment").write_text('{"abcd1234": {"id": "abcd1234", "port": 8080, "status": "RUNNING"}}')
    assert not find_experiment("abcd1234").running


def test_outside_a_trial_there_are_no_parameters_and_reports_go_nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NNI_PLATFORM", raising=False)
    assert not nni_trial_io.in_trial()
    assert nni_trial_io.trial_parameters() == {}
    assert nni_trial_io.output_dir("here") == Path("here")
    nni_trial_io.report_intermediate({"default": 1.0})
    nni_trial_io.report_final({"default": 1.0})
    cores = len(os.sched_getaffinity(0))
    assert nni_trial_io.trial_threads() == cores
    assert nni_trial_io.trial_threads(cores * 2) == 1


def test_elsewhere_the_manager_is_not_asked(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setenv("NNI_PLATFORM", "remote")
    monkeypatch.setenv("NNI_TRIAL_JOB_ID", "abc")
    monkeypatch.setenv("NNI_TRIAL_COMMAND_CHANNEL", "http://localhost:1/env/remote-worker1/abc")
    cores = len(os.sched_getaffinity(0))
    for value, threads in (("1", 1), ("0", 1), (str(cores + 9), cores), ("", cores), ("many", cores)):
        monkeypatch.setenv("OMP_NUM_THREADS", value)
        assert nni_trial_io.trial_threads() == threads
    assert nni_trial_io._recorded_parameters() is None
    assert caplog.text == ""


def test_what_cannot_be_resumed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(UserError, match="NNI has no experiment 'abcd1234'"):
        resume_experiment("abcd1234")
    (tmp_path / "nni-experiments" / "abcd1234").mkdir(parents=True)
    with pytest.raises(UserError, match="NNI refuses experiment abcd1234"):
        resume_experiment("abcd1234", 18_850)


def test_a_report_that_hangs_or_fails_does_not_hold_the_trial(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("NNI_PLATFORM", "local")
    monkeypatch.setenv("NNI_TRIAL_JOB_ID", "abc")
    monkeypatch.setattr(nni_trial_io, "REPORT_SECONDS", 0.2)

    def fail(_: object) -> None:
        raise ConnectionError("refused")

    monkeypatch.setattr(
        nni_trial_io,
        "nni",
        SimpleNamespace(
            report_intermediate_result=fail,
            report_final_result=lambda _: time.sleep(2),
            trial=SimpleNamespace(overwrite_intermediate_seq=lambda _: None),
        ),
    )
    nni_trial_io.report_intermediate({"default": 1.0})
    assert "may be gone: refused" in caplog.text
    begin = time.monotonic()
    nni_trial_io.report_final({"default": 1.0})
    assert time.monotonic() - begin < 1
    assert "did not take a result within" in caplog.text


def test_watching_prints_a_line_for_each_change(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    experiment = Experiment("abcd1234", "tiny", tmp_path, 1, True)
    looks = iter(
        [
            [Trial("a", 0, "RUNNING", {"lambda": 0.1}, tmp_path, ({"default": 0.01, "phase": "search"},))],
            [Trial("a", 0, "RUNNING", {"lambda": 0.1}, tmp_path, ({"default": 0.02, "phase": "search"},))],
            [
                Trial(
                    "a",
                    0,
                    "SUCCEEDED",
                    {"lambda": 0.1},
                    tmp_path,
                    ({"default": 0.02, "phase": "search"},),
                    {"default": 0.3},
                )
            ],
        ]
    )
    names = iter(["RUNNING", "STOPPED", "RUNNING", "DONE"])  # one silence is no end
    monkeypatch.setattr("easrec_nni.experiments.watching.POLL_SECONDS", 0.0)
    monkeypatch.setattr("easrec_nni.experiments.watching.list_trials", lambda _: next(looks))
    monkeypatch.setattr(
        "easrec_nni.experiments.watching.experiment_status", lambda _: SimpleNamespace(name=next(names), errors=())
    )
    output = io.StringIO()
    trials = watch(experiment, Console(file=output))
    assert trials[0].score == 0.3
    assert output.getvalue().splitlines() == [
        "trial 0 · λ 0.1 · running · search · (0.0100)",
        "trial 0 · λ 0.1 · succeeded · 0.3000",
    ]


def test_watching_ends_when_the_manager_failed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("easrec_nni.experiments.watching.list_trials", lambda _: [])
    monkeypatch.setattr(
        "easrec_nni.experiments.watching.experiment_status",
        lambda _: SimpleNamespace(name="ERROR", errors=("tuner crashed",)),
    )
    with pytest.raises(UserError, match="ended early: tuner crashed"):
        watch(Experiment("abcd1234", "tiny", tmp_path, 1, True), Console(file=io.StringIO()))


@pytest.mark.parametrize(("locked", "ends"), [(3, True), (11, False)])
def test_watching_outlasts_records_that_are_locked_for_a_while(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, locked: int, ends: bool
) -> None:
    experiment = Experiment("abcd1234", "tiny", tmp_path, 1, True)
    done = [Trial("a", 0, "SUCCEEDED", {"lambda": 0.1}, tmp_path, (), {"default": 0.3})]
    looks = iter([UserError("cannot read NNI's records: database is locked")] * locked + [done])

    def look(_: Experiment) -> list[Trial]:
        answer = next(looks)
        if isinstance(answer, UserError):
            raise answer
        return answer

    monkeypatch.setattr("easrec_nni.experiments.watching.POLL_SECONDS", 0.0)
    monkeypatch.setattr("easrec_nni.experiments.watching.list_trials", look)
    monkeypatch.setattr(
        "easrec_nni.experiments.watching.experiment_status", lambda _: SimpleNamespace(name="DONE", errors=())
    )
    if ends:
        assert watch(experiment, Console(file=io.StringIO())) == done
    else:
        with pytest.raises(UserError, match="database is locked"):
            watch(experiment, Console(file=io.StringIO()))
