from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from easrec_nni.cli.main import app
from easrec_nni.data import Dataset
from easrec_nni.settings.trial import TrialSettings
from easrec_nni.tabular.build_folder import BuildFolder
from easrec_nni.tabular.building import Build
from easrec_nni.tabular.documents import read_table
from easrec_nni.tabular.experiment import build_experiment
from tests.easrec_nni.tabular.test_building import SPACE, figures


def test_the_experiment_has_a_trial_for_each_run(tiny_dataset: Dataset, tmp_path: Path) -> None:
    settings = TrialSettings(data=str(tiny_dataset.path), space=SPACE)
    build = Build.open(settings.data, settings, 2, tmp_path / "runs")
    document = build_experiment(build, build.runs, 2)
    assert document["maxTrialNumber"] == 8 and document["trialConcurrency"] == 2
    assert {name: each["_value"] for name, each in document["searchSpace"].items()} == {
        "seed": [0, 1],
        "depth": [1, 2],
        "pruning": ["hidden0_inner0", "hidden50_inner0"],
    }
    # Only what the missing runs need.
    last = [run for run in build.runs if run.seed == 1 and run.choice.depth == 2]
    assert build_experiment(build, last, 1)["maxTrialNumber"] == 2


@pytest.mark.slow
def test_an_nni_experiment_makes_the_same_table(tiny_dataset: Dataset, tmp_path: Path, nni_home: Path) -> None:
    settings = TrialSettings(data=str(tiny_dataset.path), space={**SPACE, "layers": 1}, retrain={"epochs": 1})
    (tmp_path / "settings.yml").write_text(json.dumps(settings.model_dump(mode="json", by_alias=True)))
    words = ["table", "build", settings.data, "--settings", str(tmp_path / "settings.yml"), "--seeds", "1"]
    done = CliRunner().invoke(app, [*words, "--out", str(tmp_path / "runs"), "--nni", "--jobs", "1", "--port", "18180"])
    assert done.exit_code == 0, done.output
    folder = BuildFolder.read(tmp_path / "runs")
    Build.open(settings.data, settings, 1, tmp_path / "other").train(tmp_path / "other.json")
    assert figures(read_table(folder.path / "table.json.gz")) == figures(read_table(tmp_path / "other.json"))
