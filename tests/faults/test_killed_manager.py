"""NNI's manager killed while trials search: the experiment is resumed, nothing is lost, nothing is there twice."""

from __future__ import annotations

import csv
import os
import re
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import torch

from easrec_nni import TrialSettings
from easrec_nni.common.errors import UserError
from easrec_nni.experiments.experiment import Experiment, Trial
from easrec_nni.experiments.manager import resume_experiment, start_experiment, stop_experiment
from easrec_nni.experiments.processes import experiment_processes
from easrec_nni.experiments.records import find_experiment, list_trials
from easrec_nni.trial.run import run_trial
from tests.experiments import wait_for

EPOCHS = 120  # of about 50 ms: long enough for the kill to come before the end


def epochs_on_disk(trial: Trial) -> int:
    """Epochs of its search that a trial has completed."""
    file = trial.folder / "state" / "history.csv"
    if not file.is_file():
        return 0
    with file.open() as rows:
        return len(list(csv.DictReader(rows)))


def places_in_records(experiment: Experiment, trial: Trial, kind: str) -> list[int]:
    """Places in the sequence of a trial's results, as NNI has them."""
    with closing(sqlite3.connect(experiment.folder / "db" / "nni.sqlite")) as database:
        query = "select sequence from MetricData where trialJobId = ? and type = ? order by sequence"
        return [row[0] for row in database.execute(query, (trial.id, kind))]


def unbroken(settings: Path, epochs: int, out: Path) -> dict[str, Any]:
    """Final result of the same trial when nothing happens to it; with as many threads as it has under NNI."""
    before = torch.get_num_threads()
    torch.set_num_threads(max(1, len(os.sched_getaffinity(0)) // 2))
    try:
        return run_trial(TrialSettings.read(settings).with_parameters({"search.epochs": epochs}), out).report
    finally:
        torch.set_num_threads(before)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_nothing_is_lost_or_doubled(
    make_config: Callable[..., Path],
    kill: Callable[..., None],
    tmp_path: Path,
) -> None:
    experiment = start_experiment(make_config(1, EPOCHS, EPOCHS + 1), 21_000)

    def all_search() -> bool:
        trials = list_trials(experiment)
        return len(trials) == 3 and trials[0].is_over and all(len(trial.intermediate) > 2 for trial in trials[1:])

    wait_for(all_search)
    finished, outlives, dies = list_trials(experiment)
    kill(experiment)
    kill(experiment, dies)
    seen = epochs_on_disk(outlives)
    wait_for(lambda: epochs_on_disk(outlives) > min(seen + 2, EPOCHS - 1))  # which no manager hears of
    left = epochs_on_disk(dies)
    assert left < EPOCHS
    alone = list_trials(find_experiment(experiment.id))
    assert [trial.status for trial in alone] == ["SUCCEEDED", "STOPPED", "STOPPED"]

    resumed = resume_experiment(experiment.id, experiment.port)  # the port that the trial which lives reports to
    assert (resumed.id, resumed.port) == (experiment.id, experiment.port)
    with pytest.raises(UserError, match="is already running|is alive"):
        resume_experiment(experiment.id)
    wait_for(lambda: all(trial.is_over for trial in list_trials(resumed)))
    trials = list_trials(resumed)
    assert [trial.status for trial in trials] == ["SUCCEEDED"] * 3, [trial.last_error() for trial in trials]
    assert [trial.id for trial in trials] == [finished.id, outlives.id, dies.id]
    assert trials[0] == finished
    for trial, epochs in zip(trials, (1, EPOCHS, EPOCHS + 1), strict=True):
        assert trial.parameters == {"search.epochs": epochs}
        expected = [("search", epoch) for epoch in range(epochs)] + [("retrain", epoch) for epoch in (-1, 0, 1)]
        assert [(report["phase"], report["epoch"]) for report in trial.intermediate] == expected
        assert places_in_records(resumed, trial, "PERIODICAL") == list(range(epochs + 3))
        assert places_in_records(resumed, trial, "FINAL") == [0]
    # The one that died went on where its last epoch ended, and came to what an unbroken run comes to.
    log = (trials[2].folder / "trial.log").read_text()
    assert len(re.findall(r"epoch \d+: loss", log)) in (EPOCHS + 3, EPOCHS + 4)  # at most one of them twice
    reference = unbroken(tmp_path / "code" / "settings.yml", EPOCHS + 1, tmp_path / "unbroken")
    final = trials[2].final or {}
    assert final["architecture"] == reference["architecture"]
    assert final["default"] == pytest.approx(reference["default"])
    stop_experiment(resumed)
    assert experiment_processes(experiment.id) == []
