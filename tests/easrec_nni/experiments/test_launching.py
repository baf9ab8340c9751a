"""`easrec launch`: what it says, and real experiments seen from outside."""

from __future__ import annotations

import csv
import io
import json
import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml
from rich.console import Console
from typer.testing import CliRunner

from easrec_nni.architecture.document import Architecture
from easrec_nni.cli.main import app
from easrec_nni.common.errors import UserError
from easrec_nni.experiments import launching
from easrec_nni.experiments.checks import Finding
from easrec_nni.experiments.experiment import Experiment
from easrec_nni.experiments.export import export_architecture
from easrec_nni.experiments.file import read_experiment
from easrec_nni.experiments.gpu_checks import check_gpus
from easrec_nni.experiments.launching import address_finding, launch, refuse, resume
from easrec_nni.experiments.manager import free_port, running_experiment, stop_experiment
from easrec_nni.experiments.processes import experiment_processes
from easrec_nni.experiments.records import find_experiment, list_trials
from easrec_nni.experiments.watching import watch
from search_spaces.config import Choice, SpaceConfig
from tests.experiments import wait_for

SPACE = SpaceConfig(n_items=20, hidden=16, inner=32, heads=2, max_length=5)
FOUND = Architecture(choices=Choice(hidden_pruning=0.25, inner_pruning=0.5, depth=2), space=SPACE)

# Reports as a trial of ours does, without the minutes that a search takes.
TRIAL = f"""
import nni, os, time
kind = nni.get_next_parameter()["kind"]
nni.report_intermediate_result({{"default": 0.1, "phase": "search"}})
open(os.environ["NNI_OUTPUT_DIR"] + "/threads.txt", "w").write(os.environ["OMP_NUM_THREADS"])
if kind == "goes on":
    time.sleep(120)
nni.report_final_result(
    {{"default": 0.5, "architecture": {FOUND.to_json(indent=None)!r}, "files_at": "worker:/trials/1"}}
)
"""
CONFIG: dict[str, Any] = {
    "experimentName": "tiny",
    "trialCommand": "python3 trial.py",
    "trialConcurrency": 2,
    "tuner": {"name": "GridSearch"},
    "trainingService": {"platform": "local"},
}


@pytest.fixture
def make_config(nni_home: Path, tmp_path: Path) -> Callable[..., Path]:
    """Maker of an experiment's file."""
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "trial.py").write_text(TRIAL)

    def make(*kinds: str, **changes: Any) -> Path:
        config = tmp_path / "code" / "tiny.yml"
        space = {"kind": {"_type": "choice", "_value": list(kinds)}}
        config.write_text(yaml.safe_dump({**CONFIG, "searchSpace": space, "maxTrialNumber": len(kinds), **changes}))
        return config

    return make


def addresses(experiment_id: str) -> set[str]:
    """Addresses that any process of an experiment listens on."""
    return {
        each.laddr.ip
        for process in experiment_processes(experiment_id)
        for each in process.net_connections("tcp")
        if each.status == psutil.CONN_LISTEN
    }


def boards(experiment: Experiment) -> list[psutil.Process]:
    """TensorBoards of an experiment."""
    processes = experiment_processes(experiment.id)
    return [each for each in processes if any("logdir_spec" in word for word in each.cmdline())]


def listening(process: psutil.Process) -> set[tuple[str, int]]:
    return {tuple(each.laddr) for each in process.net_connections("tcp") if each.status == psutil.CONN_LISTEN}


def press_tensorboard(experiment: Experiment, trial: str) -> int:
    """Do what the web UI's button does; the port that NNI chooses."""
    url = f"http://127.0.0.1:{experiment.port}/api/v1/nni/tensorboard"
    body = json.dumps({"trials": trial}).encode()
    asked = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(asked, timeout=60) as answer:
        return int(json.load(answer)["port"])


def nnictl(*words: str) -> str:
    command = [sys.executable, "-W", "ignore", "-m", "nni.tools.nnictl.nnictl", *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=200, check=True).stdout


@pytest.mark.slow
def test_an_experiment_in_the_background_from_launch_to_stop(make_config: Callable[..., Path], tmp_path: Path) -> None:
    output = io.StringIO()
    experiment = launch(make_config("ends", "goes on"), Console(file=output, width=200), 18_900)
    said = output.getvalue()
    assert addresses(experiment.id) == {"127.0.0.1"}
    assert "✓ addresses: the web UI and its REST API will answer this machine only" in said
    for words in (f"its web UI: {experiment.url}", f"nnictl stop {experiment.id}", f"--experiment {experiment.id}"):
        assert words in said

    wait_for(lambda: any(trial.score is not None for trial in list_trials(experiment)))
    ended = next(trial for trial in list_trials(find_experiment(experiment.id)) if trial.score is not None)
    assert (ended.folder / "threads.txt").read_text() == os.environ.get("OMP_NUM_THREADS", "1")
    shown = CliRunner().invoke(app, ["show", experiment.id])  # while another trial runs
    assert shown.exit_code == 0 and f"trial {ended.number} ({ended.id}), validation NDCG@10 0.5000" in shown.output
    assert "depth 2 of 4" in shown.output

    for kind in ("json", "csv"):  # as NNI itself writes them
        file = tmp_path / f"results.{kind}"
        nnictl("experiment", "export", experiment.id, "--filename", str(file), "--type", kind)
        assert export_architecture(file, tmp_path / f"{kind}.json").rebuilt
        assert Architecture.read(tmp_path / f"{kind}.json") == FOUND
    entry = json.loads((tmp_path / "results.json").read_text())[0]
    assert entry["trialJobId"] == ended.id
    with (tmp_path / "results.csv").open(newline="") as table:
        assert next(csv.DictReader(table))["files_at"] == "worker:/trials/1"

    port = press_tensorboard(experiment, ended.id)
    wait_for(lambda: any(listening(process) for process in boards(experiment)))
    assert {address for process in boards(experiment) for address in listening(process)} == {("127.0.0.1", port)}

    nnictl("stop", experiment.id)
    wait_for(lambda: len(experiment_processes(experiment.id)) == len(boards(experiment)))
    stop_experiment(experiment)
    assert experiment_processes(experiment.id) == []  # the TensorBoard too
    result = CliRunner().invoke(app, ["export", "--experiment", experiment.id, "--out", str(tmp_path / "out.json")])
    assert result.exit_code == 0
    assert "rebuilt from NNI's records; the weights, supernet.safetensors, are in worker:/trials/1" in result.output
    assert (tmp_path / "out.json").read_text() == FOUND.to_json()


@pytest.mark.slow
def test_an_experiment_is_watched_to_its_end(make_config: Callable[..., Path]) -> None:
    config = make_config("ends", trialConcurrency=1)
    command = [sys.executable, "-m", "easrec_nni.cli.main", "launch", str(config), "--watch", "--port", "19000"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stderr
    assert "trial 0 · kind ends · succeeded · 0.5000" in done.stdout
    experiment_id = done.stdout.split("experiment ")[1].split()[0]
    assert f"nnictl view {experiment_id} --port" in done.stdout
    assert experiment_processes(experiment_id) == []


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_stops_everything(
    make_config: Callable[..., Path], tmp_path: Path, number: signal.Signals
) -> None:
    config = make_config("goes on")
    command = [sys.executable, "-m", "easrec_nni.cli.main", "launch", str(config), "--watch", "--port", "19100"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        runs = tmp_path / "home" / "nni-experiments"
        written: list[Path] = []
        wait_for(lambda: written.extend(runs.glob("????????/environments/local-env/trials/*/threads.txt")) or written)
        experiment_id = written[0].relative_to(runs).parts[0]
        assert len(experiment_processes(experiment_id)) >= 2
        process.send_signal(number)
        output, error = process.communicate(timeout=120)
    assert process.returncode == 130
    assert f"stopping experiment {experiment_id}" in output and "easrec: interrupted" in error
    assert experiment_processes(experiment_id) == []


# A tuner of the user's own is not tried before: it is taken as it is, and dies when NNI gives it the search space.
TUNER = """
from nni.tuner import Tuner
class Dies(Tuner):
    def update_search_space(self, space):
        raise RuntimeError("no space suits me")
"""


@pytest.mark.slow
@pytest.mark.parametrize("words", [[], ["--watch"]])
def test_a_tuner_that_dies_is_said_and_nothing_is_left(
    make_config: Callable[..., Path], tmp_path: Path, words: list[str]
) -> None:
    (tmp_path / "code" / "dies.py").write_text(TUNER)
    config = make_config("ends", tuner={"className": "dies.Dies", "codeDirectory": "."})
    command = [sys.executable, "-m", "easrec_nni.cli.main", "launch", str(config), "--port", "19300", *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100)
    (folder,) = (tmp_path / "home" / "nni-experiments").glob("????????")
    assert done.returncode == 2
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith(f"easrec: error: experiment {folder.name} does not go on: the tuner died: ")
    assert "RuntimeError: no space suits me; see" in last
    assert "Traceback" not in done.stderr and "take a result" not in done.stdout
    assert experiment_processes(folder.name) == []


@pytest.mark.slow
def test_a_tuner_that_is_killed_and_a_manager_without_a_gpu_are_said(make_config: Callable[..., Path]) -> None:
    with running_experiment(make_config("goes on"), 19_350) as experiment:
        wait_for(lambda: list_trials(experiment))
        for process in experiment_processes(experiment.id):
            if "--exp_params" in process.cmdline():
                process.kill()
        with pytest.raises(UserError, match="does not go on: its tuner is gone, killed or out of memory"):
            watch(experiment, Console(file=io.StringIO()))
    service = {"platform": "local", "useActiveGpu": True}
    config = make_config("ends", trialGpuNumber=1, trainingService=service)
    if check_without_gpu(config):
        with (
            running_experiment(config, 19_360) as experiment,
            pytest.raises(UserError, match=r"ended early: .*Failed to collect GPU info; leave trialGpuNumber"),
        ):
            watch(experiment, Console(file=io.StringIO()))


@pytest.mark.slow
def test_a_trial_of_plain_nnictl_refuses_a_tuner_that_minimises(make_config: Callable[..., Path]) -> None:
    config = make_config(
        "ends",
        searchSpace={"lambda": {"_type": "uniform", "_value": [0.1, 0.5]}},
        tuner={"name": "TPE"},
        trialCommand=f"{sys.executable} -m easrec_nni.trial --settings settings.yml",
    )
    output = nnictl("create", "--config", str(config), "--port", str(free_port(19_370)))
    (folder,) = (config.parents[1] / "home" / "nni-experiments").glob("????????")
    assert folder.name in output
    experiment = find_experiment(folder.name)
    wait_for(lambda: any(trial.is_over for trial in list_trials(experiment)))
    trial = list_trials(experiment)[0]
    assert trial.status == "FAILED"
    wait_for(trial.last_error)
    assert trial.last_error().startswith("error: tuner: TPE minimises by default")
    assert len((trial.folder / "trial.stderr").read_text().strip().splitlines()) == 1
    stop_experiment(experiment)


def check_without_gpu(config: Path) -> bool:
    """Whether this machine has none, as NNI's own collector says."""
    try:
        check_gpus(read_experiment(config))
    except UserError as error:
        return "finds none" in error.message
    return False


@pytest.mark.slow
def test_what_ended_a_tuner_before_does_not_end_a_resumed_experiment(
    make_config: Callable[..., Path], tmp_path: Path
) -> None:
    with running_experiment(make_config("goes on"), 19_400) as experiment:
        wait_for(lambda: list_trials(experiment))
    (experiment.folder / "log" / "dispatcher.log").write_text(
        "[2020-01-01 00:00:00] ERROR (nni.main/MainThread) old\nTraceback (most recent call last):\nValueError: old\n"
    )
    resumed = resume(experiment.id, Console(file=io.StringIO()), 19_400)  # what was before does not count
    assert experiment_processes(resumed.id)
    stop_experiment(resumed)


@pytest.mark.slow
def test_an_exposed_experiment_says_so_and_is(make_config: Callable[..., Path]) -> None:
    output = io.StringIO()
    experiment = launch(make_config("goes on"), Console(file=output, width=300), 19_200, expose=True)
    assert addresses(experiment.id) & {"0.0.0.0", "::"}
    assert f"warning: whoever reaches port {experiment.port} of this machine" in output.getvalue()
    stop_experiment(experiment)


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[Any]:
    """What would have been started."""
    calls: list[Any] = []

    def start(*words: Any, **options: Any) -> Experiment:
        calls.append((words, options))
        return Experiment("abcd1234", "tiny", tmp_path, 8080, True)

    monkeypatch.setattr(launching, "start_experiment", start)
    monkeypatch.setattr(launching, "wait_for_first_trial", lambda experiment: None)
    return calls


def test_nothing_starts_where_something_is_wrong(
    make_config: Callable[..., Path], started: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    config = make_config("ends", trialCommand="python3 -m easrec_nni.trial --settings none.yml")
    result = CliRunner().invoke(app, ["launch", str(config)])
    assert result.exit_code == 2
    assert "✗ settings and data: there is no settings file" in result.output.replace("\n", " ")
    assert "easrec: error: settings and data: there is no settings file" in result.output
    assert started == []


def test_check_looks_and_starts_nothing(make_config: Callable[..., Path], started: list[Any]) -> None:
    result = CliRunner().invoke(app, ["launch", str(make_config("ends")), "--check"])
    assert result.exit_code == 0, result.output
    assert result.output.splitlines()[-1] == "ready"
    assert sum(line.startswith("✓ ") for line in result.output.splitlines()) == 11
    assert started == []


def test_the_options_reach_nni(make_config: Callable[..., Path], started: list[Any]) -> None:
    config = make_config("ends")
    result = CliRunner().invoke(app, ["launch", str(config), "--port", "9000", "--expose"])
    assert result.exit_code == 0, result.output
    ((words, options),) = started
    assert words == (config, 9000) and options["expose"] is True
    assert "warning: whoever reaches port 8080" in result.output.replace("\n", " ")
    assert CliRunner().invoke(app, ["launch", str(config)]).exit_code == 0
    assert started[1][0] == (config, 8080) and started[1][1]["expose"] is False


def test_check_and_watch_exclude_each_other(make_config: Callable[..., Path]) -> None:
    result = CliRunner().invoke(app, ["launch", str(make_config("ends")), "--check", "--foreground"])
    assert result.exit_code == 2 and "give one of them" in result.output


def test_one_line_names_the_first_of_all_that_is_wrong() -> None:
    refuse([Finding("disk", "well")])
    with pytest.raises(UserError, match=r"^disk: full$"):
        refuse([Finding("machine", "well"), Finding("disk", "full", wrong=True)])
    with pytest.raises(UserError, match=r"^disk: full \(and 1 more, see above\)$"):
        refuse([Finding("disk", "full", wrong=True), Finding("threads", "none", wrong=True)])


@pytest.mark.parametrize("address", ["10.0.0.7", None])
def test_workers_elsewhere_need_a_tunnel_or_an_open_door(make_config: Callable[..., Path], address: str | None) -> None:
    service: dict[str, Any] = {"platform": "remote", "machineList": [{"host": "w", "user": "me", "password": "secret"}]}
    experiment = read_experiment(
        make_config("ends", trainingService=service | ({"nniManagerIp": address} if address else {}))
    )
    finding = address_finding(experiment, expose=False)
    assert finding.wrong == (address is not None)
    if finding.wrong:
        assert "ssh -N -R PORT:localhost:PORT WORKER" in finding.text and "--expose" in finding.text
    else:
        assert "holds a password, which the web UI shows" in finding.text
    opened = address_finding(experiment, expose=True)
    assert not opened.wrong and "without a password" in opened.text
    assert "secret" not in finding.text + opened.text


def test_help_has_examples_and_a_warning() -> None:
    output = CliRunner().invoke(app, ["launch", "--help"]).output
    for words in (
        "easrec launch ml100k.yml --check",
        "ssh -L 8080:localhost:8080",
        "--watch, --foreground",
        "--expose",
    ):
        assert words in output
