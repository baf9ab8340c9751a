"""`easrec nas`: architectures as trials of NNI's NasExperiment."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import nni
import pytest
import torch
import yaml
from typer.testing import CliRunner

from easrec_nni import Architecture, Dataset, TrialSettings, evaluate
from easrec_nni.architecture.weights import load_network
from easrec_nni.cli.main import app
from easrec_nni.experiments.processes import experiment_processes
from easrec_nni.experiments.records import find_experiment, list_trials
from easrec_nni.trial.nas import ArchitectureEvaluator, DescribedSpace, ShownModelSpace
from search_spaces import SpaceConfig
from tests.experiments import SMALL_SPACE

RETRAIN = {"epochs": 1, "batch_size": 8}


@pytest.fixture
def settings_file(tiny_dataset: Dataset, nni_home: Path, tmp_path: Path) -> Path:
    """Settings file of a tiny space."""
    (tmp_path / "code").mkdir()
    file = tmp_path / "code" / "tiny.yml"
    file.write_text(yaml.safe_dump({"data": str(tiny_dataset.path), "space": SMALL_SPACE, "retrain": RETRAIN}))
    return file


@pytest.mark.slow
@pytest.mark.timeout(500)
@pytest.mark.parametrize(("strategy", "trials", "jobs"), [("evolution", 3, 2), ("tpe", 2, 1)])
def test_each_architecture_is_a_trial_with_a_result_like_any_other(
    strategy: str, trials: int, jobs: int, settings_file: Path, tiny_dataset: Dataset, tmp_path: Path
) -> None:
    command = [sys.executable, "-m", "easrec_nni.cli.main", "nas", str(settings_file), "--strategy", strategy]
    command += ["--trials", str(trials), "--jobs", str(jobs), "--port", "19500"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=450, cwd=tmp_path, env={**os.environ})
    assert done.returncode == 0, done.stderr
    experiment_id = done.stdout.split("experiment ")[1].split()[0]
    assert experiment_processes(experiment_id) == []
    finished = list_trials(find_experiment(experiment_id))
    assert [trial.status for trial in finished] == ["SUCCEEDED"] * trials, [trial.last_error() for trial in finished]
    assert len({str(trial.parameters) for trial in finished}) == trials  # none was drawn twice
    for trial in finished:
        assert trial.parameters.keys() == {"pruning", "depth"}
        architecture = Architecture.read(trial.folder / "architecture.json")
        assert (architecture.choices.label, architecture.choices.depth) == (
            trial.parameters["pruning"],
            trial.parameters["depth"],
        )
        assert trial.final is not None and trial.final["madds_per_user"] == architecture.cost["madds_per_user"]
        assert [(report["phase"], report["epoch"]) for report in trial.intermediate] == [
            ("retrain", -1),
            ("retrain", 0),
        ]
        network = load_network(architecture, trial.folder / "retrained" / "weights.safetensors")
        assert evaluate(network, tiny_dataset)["ndcg@10_full"] == trial.final["test_ndcg@10_full"]
        assert list((trial.folder / "tensorboard" / "retrain").glob("events.*"))
    check_that_the_commands_find_it(experiment_id, tmp_path, best=max(trial.score or 0 for trial in finished))


def check_that_the_commands_find_it(experiment_id: str, folder: Path, best: float) -> None:
    exported = CliRunner().invoke(app, ["export", "--experiment", experiment_id, "--out", str(folder / "best.json")])
    assert exported.exit_code == 0 and f"validation NDCG@10 {best:.4f}" in exported.output
    report = CliRunner().invoke(app, ["report", experiment_id, "--out", str(folder / "report")])
    assert report.exit_code == 0, report.output
    with (folder / "report" / "trials.csv").open(newline="") as table:
        rows = list(csv.DictReader(table))
    assert all(row["sampled_pruning"] == row["pruning"] and row["sampled_depth"] == row["depth"] for row in rows)


def test_what_a_trial_gets_holds_no_code_and_shows_its_choices() -> None:
    """By itself, NNI pickles a SpaceConfig into the parameters and shows the whole space in the web UI."""
    config = SpaceConfig(n_items=30, max_length=8, hidden=8, inner=16, heads=2, layers=2, hidden_pruning=(0, 0.5))
    with torch.device("meta"):
        space = DescribedSpace(**config.model_dump(mode="json", exclude_defaults=True))
    assert space.config == config
    evaluator = ArchitectureEvaluator(TrialSettings(data="x").model_dump(mode="json", by_alias=True))
    sample = {"pruning": "hidden50_inner25", "depth": 2}
    sent = nni.dump(ShownModelSpace.from_model(space, evaluator).freeze(sample))
    assert "__nni_obj__" not in sent  # NNI's word for a pickle
    assert json.loads(sent)["mutation_summary"] == sample
    received = nni.load(sent)
    assert isinstance(received, ShownModelSpace) and received.sample == sample
    assert received.evaluator.settings == evaluator.settings


def test_a_mistake_in_a_trial_ends_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    evaluator = ArchitectureEvaluator({"data": str(tmp_path / "missing")})
    with pytest.raises(SystemExit) as end:
        evaluator._execute(SimpleNamespace(sample={"pruning": "hidden50_inner25", "depth": 2}))
    assert end.value.code == 2
    assert capsys.readouterr().err == (
        f"error: {tmp_path}/missing is not a prepared dataset: run 'easrec prepare SOURCE --out {tmp_path}/missing'\n"
    )


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--set", "search.budget=40%"], "remove it and set objective.kind=ceiling with objective.ceiling, or keep it"),
        (["--strategy", "tpa"], "there is no strategy 'tpa'; choose from random, evolution, tpe"),
        (["--set", "space={n_items: 3}"], "remove the key"),
        (["--set", "data=nowhere"], "there is no dataset 'nowhere'"),
        (["--set", "objective=ceiling"], "kind: ceiling needs objective.ceiling"),
    ],
)
def test_mistakes_start_nothing(words: list[str], message: str, settings_file: Path, tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["nas", str(settings_file), *words])
    assert done.exit_code == 2 and message in done.output
    assert not (tmp_path / "home" / "nni-experiments").exists()
