"""Experiments that something happens to: small ones, in a home of the test's own."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

from easrec_nni import Dataset
from easrec_nni.experiments.experiment import Experiment, Trial
from easrec_nni.experiments.manager import stop_experiment
from easrec_nni.experiments.processes import experiment_processes

SETTINGS: dict[str, Any] = {
    "space": {"max_length": 8, "hidden": 8, "inner": 16, "heads": 2, "layers": 2, "hidden_pruning": [0, 0.5]},
    "search": {"batch_size": 8, "patience": 1000},
    "retrain": {"epochs": 2, "batch_size": 8},
}
CONFIG: dict[str, Any] = {
    "experimentName": "fault",
    "trialCommand": "python3 -m easrec_nni.trial --settings settings.yml",
    "trialCodeDirectory": ".",
    "trialConcurrency": 2,
    "tuner": {"name": "GridSearch", "classArgs": {"optimize_mode": "maximize"}},
    "trainingService": {"platform": "local"},
}


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A home directory, in which NNI keeps its records."""
    # Without matplotlib's list of fonts each trial would spend seconds on making it.
    monkeypatch.setenv("MPLCONFIGDIR", os.environ.get("MPLCONFIGDIR", str(Path.home() / ".config" / "matplotlib")))
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    yield home
    for folder in (home / "nni-experiments").glob("????????"):  # whatever a failed test leaves
        stop_experiment(Experiment(folder.name, "", folder, 0, True))


@pytest.fixture
def make_config(tiny_dataset: Dataset, home: Path, tmp_path: Path) -> Callable[..., Path]:
    """Maker of the file of an experiment that tries numbers of epochs of a search; settings.yml lies beside it."""

    def make(*epochs: int, data: Path = tiny_dataset.path, **changes: Any) -> Path:
        code = tmp_path / "code"
        code.mkdir()
        (code / "settings.yml").write_text(yaml.safe_dump({"data": str(data), **SETTINGS}))
        space = {"search.epochs": {"_type": "choice", "_value": list(epochs)}}
        config = {**CONFIG, "searchSpace": space, "maxTrialNumber": len(epochs), **changes}
        (code / "fault.yml").write_text(yaml.safe_dump(config))
        return code / "fault.yml"

    return make


@pytest.fixture
def one_core() -> Iterator[None]:
    """A machine of one core for what the test starts: a trial alone takes all cores, of which others may use some."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    yield
    os.sched_setaffinity(0, before)


@pytest.fixture
def wait_for() -> Callable[[Callable[[], object]], None]:
    """Waits until a condition holds."""

    def wait(condition: Callable[[], object], seconds: float = 450) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, "waited too long"
            time.sleep(0.3)

    return wait


@pytest.fixture
def kill() -> Callable[..., None]:
    """Kills the processes of a trial, or the manager of an experiment, with SIGKILL."""

    def kill(experiment: Experiment, trial: Trial | None = None) -> None:
        def is_meant(process: psutil.Process) -> bool:
            if trial is None:
                return "--experiment-id" in process.cmdline()
            return bool(process.environ().get("NNI_TRIAL_JOB_ID") == trial.id)

        processes = [process for process in experiment_processes(experiment.id) if is_meant(process)]
        assert processes
        for process in processes:
            process.kill()
        psutil.wait_procs(processes, timeout=20)

    return kill
