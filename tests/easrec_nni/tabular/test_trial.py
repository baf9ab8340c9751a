"""A trial of a table's experiment trains the same run as a build in one process."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from easrec_nni.common.errors import UserError
from easrec_nni.data import Dataset
from easrec_nni.settings.trial import TrialSettings
from easrec_nni.tabular import trial as trial_module
from easrec_nni.tabular.building import Build, train_run
from easrec_nni.tabular.trial import run_table_trial
from easrec_nni.trial import reports as reports_module
from tests.easrec_nni.tabular.test_building import SPACE


@pytest.fixture
def build(tiny_dataset: Dataset, tmp_path: Path) -> Build:
    settings = TrialSettings(data=str(tiny_dataset.path), space=SPACE, retrain={"epochs": 2})
    return Build.open(settings.data, settings, 2, tmp_path / "runs")


def test_a_trial_trains_its_run_and_reports_its_figures(build: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[dict[str, Any]] = []
    monkeypatch.setattr(reports_module, "report_intermediate", sent.append)
    monkeypatch.setattr(trial_module, "report_final", lambda report: json.dumps(report, allow_nan=False))
    run = build.runs[-1]
    sample = {"pruning": run.choice.label, "depth": run.choice.depth, "seed": run.seed}
    report = run_table_trial(build.folder.path, sample)
    assert build.folder.is_complete(run) and len(build.missing) == 7
    assert [(each["phase"], each["epoch"]) for each in sent] == [("retrain", epoch) for epoch in (-1, 0, 1)]
    figures = train_run(build.folder, run, build.dataset)  # complete: read from the folder
    assert report["test_ndcg@10_full"] == figures.test["ndcg@10_full"] and report["seed"] == run.seed
    # The same run, trained by a build in one process.
    other = Build.open(build.folder.settings.data, build.folder.settings, 2, build.folder.path.parent / "other")
    assert train_run(other.folder, run, other.dataset).test == figures.test
    # A trial of a complete run ends immediately, with the same figures.
    again = run_table_trial(build.folder.path, sample)
    assert {name: again[name] for name in report if "@" in name} == {n: v for n, v in report.items() if "@" in n}


@pytest.mark.parametrize("sample", [{}, {"pruning": "hidden0_inner0", "depth": 9, "seed": 0}, {"depth": 1, "seed": 0}])
def test_samples_of_another_space_are_refused(sample: dict[str, Any], build: Build) -> None:
    with pytest.raises(UserError, match="a run has pruning, depth and seed of the table's space"):
        run_table_trial(build.folder.path, sample)
