"""Managers and trials that are killed, with real experiments: what is lost (nothing), and what is reported twice."""

from __future__ import annotations

import csv
import os
import re
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch
import yaml
from typer.testing import CliRunner

from easrec_nni import Dataset, TrialSettings
from easrec_nni.cli.main import app
from easrec_nni.errors import UserError
from easrec_nni.nni_client import experiment_processes, resume_experiment, start_experiment, stop_experiment
from easrec_nni.nni_records import Experiment, Trial, find_experiment, list_trials
from easrec_nni.resumption import alone, tell_again
from easrec_nni.trial import run_trial

EPOCHS = 40
SETTINGS: dict[str, Any] = {
    "space": {"max_length": 8, "hidden": 8, "inner": 16, "heads": 2, "layers": 2, "hidden_pruning": [0, 0.5]},
    "search": {"batch_size": 8, "patience": 1000},
    "retrain": {"epochs": 2, "batch_size": 8},
}
CONFIG: dict[str, Any] = {
    "experimentName": "killed",
    "searchSpace": {"search.epochs": {"_type": "choice", "_value": [1, EPOCHS, EPOCHS + 1]}},
    "trialCommand": "python3 -m easrec_nni.trial --settings settings.yml",
    "trialCodeDirectory": ".",
    "trialConcurrency": 2,
    "maxTrialNumber": 3,
    "tuner": {"name": "GridSearch", "classArgs": {"optimize_mode": "maximize"}},
    "trainingService": {"platform": "local"},
}


@pytest.fixture
def make_config(
    tiny_dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., Path]]:
    """Maker of an experiment's file; NNI keeps its records in a home of the test's own."""
    home, code = tmp_path / "home", tmp_path / "code"
    home.mkdir()
    code.mkdir()
    # A home without matplotlib's list of fonts would cost every trial the seconds of making it.
    monkeypatch.setenv("MPLCONFIGDIR", os.environ.get("MPLCONFIGDIR", str(Path.home() / ".config" / "matplotlib")))
    monkeypatch.setenv("HOME", str(home))
    (code / "settings.yml").write_text(yaml.safe_dump({"data": str(tiny_dataset.path), **SETTINGS}))

    def make(**changes: Any) -> Path:
        (code / "killed.yml").write_text(yaml.safe_dump({**CONFIG, **changes}))
        return code / "killed.yml"

    yield make
    for folder in (home / "nni-experiments").glob("????????"):  # whatever a failed test leaves
        stop_experiment(Experiment(folder.name, "", folder, 0, True))


def wait_for(condition: Callable[[], object], seconds: float = 240) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.3)


def processes_of(experiment: Experiment, trial: Trial) -> list[psutil.Process]:
    """Processes of one trial."""
    processes = experiment_processes(experiment.id)
    return [each for each in processes if each.environ().get("NNI_TRIAL_JOB_ID") == trial.id]


def kill_manager(experiment: Experiment) -> None:
    manager = next(each for each in experiment_processes(experiment.id) if "--experiment-id" in each.cmdline())
    manager.kill()
    manager.wait()


def epochs_on_disk(trial: Trial) -> int:
    file = trial.folder / "state" / "history.csv"
    return len(list(csv.DictReader(file.open()))) if file.is_file() else 0


def metrics_in_records(experiment: Experiment, trial: Trial, kind: str) -> list[int]:
    """Places in the sequence of a trial's results, as NNI has them."""
    with closing(sqlite3.connect(experiment.folder / "db" / "nni.sqlite")) as database:
        query = "select sequence from MetricData where trialJobId = ? and type = ? order by sequence"
        return [row[0] for row in database.execute(query, (trial.id, kind))]


def unbroken(settings: Path, epochs: int, out: Path) -> dict[str, Any]:
    """Final result of the same trial, which nothing happens to; with as many threads as it has under NNI."""
    before = torch.get_num_threads()
    torch.set_num_threads(max(1, len(os.sched_getaffinity(0)) // 2))
    try:
        return run_trial(TrialSettings.read(settings).with_parameters({"search.epochs": epochs}), out).report
    finally:
        torch.set_num_threads(before)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_nothing_is_lost_or_doubled_when_the_manager_is_killed(
    make_config: Callable[..., Path], tmp_path: Path
) -> None:
    experiment = start_experiment(make_config(), 21_000)

    def all_search() -> bool:
        trials = list_trials(experiment)
        return len(trials) == 3 and trials[0].is_over and all(len(trial.intermediate) > 2 for trial in trials[1:])

    wait_for(all_search)
    finished, outlives, dies = list_trials(experiment)
    kill_manager(experiment)
    for process in processes_of(experiment, dies):
        process.kill()
    seen = epochs_on_disk(outlives)
    wait_for(lambda: epochs_on_disk(outlives) > min(seen + 2, EPOCHS - 1))  # which no manager hears of
    left = epochs_on_disk(dies)
    assert [trial.status for trial in list_trials(find_experiment(experiment.id))] == [
        "SUCCEEDED",
        "STOPPED",
        "STOPPED",
    ]

    resumed = resume_experiment(experiment.id, experiment.port)  # where the trial that lives reports to
    assert (resumed.id, resumed.port) == (experiment.id, experiment.port)
    with pytest.raises(UserError, match="runs already"):
        resume_experiment(experiment.id)
    wait_for(lambda: all(trial.is_over for trial in list_trials(resumed)))
    trials = list_trials(resumed)
    assert [trial.status for trial in trials] == ["SUCCEEDED"] * 3, [trial.last_error() for trial in trials]
    assert [trial.id for trial in trials] == [finished.id, outlives.id, dies.id]
    assert trials[0] == finished
    for trial, epochs in zip(trials, (1, EPOCHS, EPOCHS + 1), strict=True):
        assert trial.parameters == {"search.epochs": epochs}
        expected = [("search", epoch) for epoch in range(epochs)] + [("retrain", 0), ("retrain", 1)]
        assert [(report["phase"], report["epoch"]) for report in trial.intermediate] == expected
        assert metrics_in_records(resumed, trial, "PERIODICAL") == list(range(epochs + 2))
        assert metrics_in_records(resumed, trial, "FINAL") == [0]
    # The one that died went on where its last epoch ended, and came to what an unbroken run comes to.
    log = (trials[2].folder / "trial.log").read_text()
    assert len(re.findall(r"epoch \d+: loss", log)) in (EPOCHS + 3, EPOCHS + 4)  # at most one of them twice
    assert left < EPOCHS
    reference = unbroken(tmp_path / "code" / "settings.yml", EPOCHS + 1, tmp_path / "unbroken")
    final = trials[2].final or {}
    assert final["architecture"] == reference["architecture"]
    assert final["default"] == pytest.approx(reference["default"])
    stop_experiment(resumed)
    assert experiment_processes(experiment.id) == []
