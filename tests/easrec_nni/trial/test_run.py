"""Trials under a real nnictl, seen from outside."""

from __future__ import annotations

import io
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from rich.console import Console

from easrec_nni import Architecture, Dataset, evaluate
from easrec_nni.architecture.weights import load_network
from easrec_nni.experiments.experiment import Trial
from easrec_nni.experiments.export import export_architecture
from easrec_nni.experiments.manager import free_port, running_experiment
from easrec_nni.experiments.records import find_experiment, list_trials
from easrec_nni.experiments.watching import watch
from easrec_nni.retraining.metrics import read_metrics
from tests.experiments import SMALL_SPACE, experiment_document

SETTINGS = {
    "space": SMALL_SPACE,
    "search": {"epochs": 2, "batch_size": 8},
    "retrain": {"epochs": 2, "batch_size": 8},
}
# The last one asks for a number of heads that does not divide the widths.
SEARCHED = {
    "lambda": {"_type": "choice", "_value": [0.0, 1.0]},
    "space.heads": {"_type": "choice", "_value": [2, 3]},
}


@pytest.fixture
def config(tiny_dataset: Dataset, nni_home: Path, tmp_path: Path) -> Path:
    """YAML file of an experiment."""
    code = tmp_path / "code"
    code.mkdir()
    (code / "settings.yml").write_text(yaml.safe_dump({"data": str(tiny_dataset.path), **SETTINGS}))
    (code / "tiny.yml").write_text(yaml.safe_dump(experiment_document(searchSpace=SEARCHED)))
    return code / "tiny.yml"


def recorded_parameter_number(trial: Trial) -> int:
    """Number of the parameters under which NNI filed a trial's final result."""
    database = trial.folder.parents[3] / "db" / "nni.sqlite"
    query = "select parameterId from MetricData where trialJobId = ? and type = 'FINAL'"
    with sqlite3.connect(database) as connection:
        return int(connection.execute(query, (trial.id,)).fetchone()[0])


@pytest.mark.slow
def test_trials_search_report_and_leave_their_files(config: Path, tiny_dataset: Dataset, tmp_path: Path) -> None:
    with running_experiment(config, free_port(18200)) as experiment:
        watch(experiment, Console(file=io.StringIO()), expected=4)
    trials = list_trials(find_experiment(experiment.id))
    good = [trial for trial in trials if trial.parameters["space.heads"] == 2]
    bad = [trial for trial in trials if trial.parameters["space.heads"] == 3]
    assert [len(good), len(bad)] == [2, 2]
    assert {trial.parameters["lambda"] for trial in good} == {0, 1}
    for trial in bad:
        assert (trial.status, trial.final) == ("FAILED", None)
        assert "heads=3 do not divide" in trial.last_error()
    for trial in good:
        assert trial.status == "SUCCEEDED", trial.last_error()
        reported = [(report["phase"], report["epoch"]) for report in trial.intermediate]
        assert reported == [("search", 0), ("search", 1), ("retrain", -1), ("retrain", 0), ("retrain", 1)]
        assert {"expected_cost", "entropy_pruning", "entropy_depth"} <= trial.intermediate[0].keys()
        assert trial.final is not None
        # NNI's engine for one-shot search would book every result under parameter 0.
        assert recorded_parameter_number(trial) == trial.number
        architecture = Architecture.read(trial.folder / "architecture.json")
        assert architecture.lambda_ == trial.parameters["lambda"] == trial.final["lambda"]
        assert trial.final["madds_per_user"] == architecture.cost["madds_per_user"]
        assert trial.final["depth"] == architecture.choices.depth
        assert architecture.dataset is not None
        assert architecture.dataset.fingerprint == trial.final["dataset_fingerprint"] == tiny_dataset.fingerprint
        metrics = read_metrics(trial.folder / "retrained")
        assert metrics.training.threads == max(1, len(os.sched_getaffinity(0)) // 2)  # of two trials at a time
        network = load_network(architecture, trial.folder / "retrained" / "weights.safetensors")
        assert evaluate(network, tiny_dataset)["ndcg@10_full"] == trial.final["test_ndcg@10_full"]
    exported = export_architecture(experiment.id, tmp_path / "best.json", weights=True)
    best = max(good, key=lambda trial: (trial.score or 0, -trial.number))
    assert exported.trial.id == best.id
    assert Architecture.read(tmp_path / "best.json").choices.depth == (best.final or {})["depth"]
    assert (tmp_path / "supernet.safetensors").stat().st_size > 1000


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"data": "no-such-dataset"}, "there is no dataset 'no-such-dataset'"),
        ({"data": "x", "serch": {}}, "did you mean 'search'?"),
        ({"data": "x", "search": {"lambda": -1}}, "search.lambda"),
    ],
)
def test_a_wrong_trial_fails_at_once_with_its_reason(tmp_path: Path, document: dict[str, object], message: str) -> None:
    (tmp_path / "settings.yml").write_text(yaml.safe_dump(document))
    command = [sys.executable, "-m", "easrec_nni.trial", "--settings", "settings.yml"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=100)
    assert done.returncode == 2
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("error: ") and message in last
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "trial").exists() or not any((tmp_path / "trial").iterdir())
