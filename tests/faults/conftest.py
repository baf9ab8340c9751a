"""Experiments that something happens to: small ones, in a home of the test's own."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

from easrec_nni import Dataset
from easrec_nni.experiments.experiment import Experiment, Trial
from easrec_nni.experiments.processes import experiment_processes
from tests.experiments import SMALL_SPACE, experiment_document

SETTINGS: dict[str, Any] = {
    "space": SMALL_SPACE,
    "search": {"batch_size": 8, "patience": 1000},
    "retrain": {"epochs": 2, "batch_size": 8},
}


@pytest.fixture
def fonts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Matplotlib's list of fonts, which each trial would spend seconds on making in a home without one."""
    monkeypatch.setenv("MPLCONFIGDIR", os.environ.get("MPLCONFIGDIR", str(Path.home() / ".config" / "matplotlib")))


@pytest.fixture
def make_config(tiny_dataset: Dataset, fonts: None, nni_home: Path, tmp_path: Path) -> Callable[..., Path]:
    """Maker of the file of an experiment that tries numbers of epochs of a search; settings.yml lies beside it."""

    def make(*epochs: int, data: Path = tiny_dataset.path, **changes: Any) -> Path:
        code = tmp_path / "code"
        code.mkdir()
        (code / "settings.yml").write_text(yaml.safe_dump({"data": str(data), **SETTINGS}))
        space = {"search.epochs": {"_type": "choice", "_value": list(epochs)}}
        config = experiment_document(searchSpace=space, maxTrialNumber=len(epochs)) | changes
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
