from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from easrec_nni.common.errors import UserError
from easrec_nni.common.locks import LOCK_FILE, file_lock
from easrec_nni.data import Dataset
from easrec_nni.evaluation.metrics import metrics_from_ranks
from easrec_nni.settings.trial import TrialSettings
from easrec_nni.tabular import building
from easrec_nni.tabular.build_folder import BuildFolder, Run
from easrec_nni.tabular.building import Build, train_run
from easrec_nni.tabular.documents import TableDocument, read_table

SPACE = {
    "max_length": 6,
    "hidden": 8,
    "inner": 16,
    "heads": 2,
    "layers": 2,
    "hidden_pruning": [0, 0.5],
    "inner_pruning": [0],
    "gate_layers": 0,
}


@pytest.fixture
def settings(tiny_dataset: Dataset) -> TrialSettings:
    return TrialSettings(data=str(tiny_dataset.path), space=SPACE, retrain={"epochs": 2, "weights": "scratch"})


def build(settings: TrialSettings, folder: Path, seeds: int = 2) -> Build:
    return Build.open(settings.data, settings, seeds, folder)


def figures(table: TableDocument) -> list[tuple[int, int, dict[str, float]]]:
    """Architecture, seed and values of every run, without the seconds."""
    names = [name for name in table.figures if name != "seconds"]
    return [(run.architecture, run.seed, dict(zip(names, run.values, strict=False))) for run in table.runs]


def test_a_build_trains_every_architecture_with_every_seed(settings: TrialSettings, tmp_path: Path) -> None:
    made = build(settings, tmp_path / "runs")
    assert made.train(tmp_path / "table.json") == []
    table = read_table(tmp_path / "table.json")
    assert [row.choices for row in table.architectures] == made.space.architectures()
    assert [(run.architecture, run.seed) for run in table.runs] == [(a, s) for a in range(4) for s in range(2)]
    assert table.complete_seeds == [0, 1] and table.settings["data"] == "tiny"
    # Against the ranks that the run keeps.
    run = Run(made.space.architectures()[1], 1)
    with np.load(made.folder.folder(run) / "ranks.npz") as ranks:
        expected = metrics_from_ranks(ranks["test_unseen"], 10, "unseen")
    values = dict(zip(table.figures, table.runs[3].values, strict=True))
    for name in ("recall", "mrr", "ndcg"):
        assert values[f"test_{name}@10_unseen"] == pytest.approx(expected[f"{name}@10_unseen"], abs=1e-6)
    files = {file.name for file in made.folder.folder(run).rglob("*") if file.is_file()}
    assert not files & {"weights.safetensors", "last.ckpt", "best.safetensors"}
    # More seeds are added to it; what is there stays.
    more = build(settings, tmp_path / "runs", 3)
    assert [run.seed for run in more.missing] == [2] * 4


def test_weights_stay_on_demand(settings: TrialSettings, tiny_dataset: Dataset, tmp_path: Path) -> None:
    made = build(settings, tmp_path / "runs")
    train_run(made.folder, made.runs[0], made.dataset, keep_weights=True)
    assert (made.folder.folder(made.runs[0]) / "weights.safetensors").is_file()
    train_run(made.folder, made.runs[0], made.dataset)
    assert not (made.folder.folder(made.runs[0]) / "weights.safetensors").is_file()


def test_a_stopped_build_goes_on_in_the_middle_of_a_run(
    settings: TrialSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build(settings, tmp_path / "whole", 1).train(tmp_path / "whole.json")
    stopped = build(settings, tmp_path / "parts", 1)
    checks = iter([None, None, None, 0.0])  # before the first run, then its rows: before training, epoch 0, epoch 1

    def check(end: float | None) -> None:
        if next(checks, None) is not None:
            raise building._OutOfTime

    with monkeypatch.context() as patch:
        patch.setattr(building, "_check_time", check)
        assert stopped.train(tmp_path / "parts.json", limit_minutes=1) == stopped.runs
    assert not (tmp_path / "parts.json").exists()
    first = stopped.folder.folder(stopped.runs[0])
    assert (first / "state" / "last.ckpt").is_file() and not (first / "metrics.json").is_file()
    assert build(settings, tmp_path / "parts", 1).train(tmp_path / "parts.json") == []
    assert figures(read_table(tmp_path / "parts.json")) == figures(read_table(tmp_path / "whole.json"))


@pytest.mark.slow
def test_a_killed_build_goes_on(settings: TrialSettings, tmp_path: Path) -> None:
    longer = settings.with_parameters({"retrain.epochs": 6, "retrain.patience": 6})
    file = tmp_path / "settings.yml"
    file.write_text(json.dumps(longer.model_dump(mode="json", by_alias=True)))
    command = [sys.executable, "-m", "easrec_nni.cli.main", "table", "build", longer.data, "--settings", str(file)]
    command += ["--seeds", "1", "--out", str(tmp_path / "runs"), "--threads", "1"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=os.environ)
    begun = time.monotonic()
    while process.poll() is None and time.monotonic() < begun + 200:
        # In the middle of the second run.
        runs = (tmp_path / "runs").rglob("last.ckpt")
        if list((tmp_path / "runs").rglob("metrics.json")) and any(
            not (f.parents[1] / "metrics.json").is_file() for f in runs
        ):
            break
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL, "it ended before it was killed"
    subprocess.run(command, check=True, capture_output=True)
    build(longer, tmp_path / "whole", 1).train(tmp_path / "whole.json")
    assert figures(read_table(tmp_path / "runs" / "table.json.gz")) == figures(read_table(tmp_path / "whole.json"))


def test_a_run_that_another_process_trains_is_left_to_it(settings: TrialSettings, tmp_path: Path) -> None:
    made = build(settings, tmp_path / "runs", 1)
    with file_lock(made.folder.folder(made.runs[0]) / LOCK_FILE, on_wait=lambda lock: None):
        assert made.train(tmp_path / "table.json") == made.runs[:1]
    assert read_table(tmp_path / "table.json").complete_seeds == []


def test_a_run_that_diverges_is_missing_in_the_table(settings: TrialSettings, tmp_path: Path) -> None:
    made = build(settings.with_parameters({"retrain.learning_rate": 1e30}), tmp_path / "runs", 1)
    assert made.train(tmp_path / "table.json") == made.runs
    assert not (tmp_path / "table.json").exists()


def test_what_does_not_fit_is_refused(settings: TrialSettings, tiny_dataset: Dataset, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="leave retrain.refit out"):
        build(settings.with_parameters({"retrain.refit": True}), tmp_path / "runs")
    build(settings, tmp_path / "runs")
    with pytest.raises(UserError, match=r"holds a build with other settings \(retrain\.epochs\): choose"):
        build(settings.with_parameters({"retrain.epochs": 3}), tmp_path / "runs")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "file").write_text("")
    with pytest.raises(UserError, match="neither an empty folder nor that of a build"):
        build(settings, tmp_path / "other")
    with pytest.raises(UserError, match="holds no build"):
        BuildFolder.read(tmp_path / "other")


def test_settings_of_a_distillation_matter_only_with_a_teacher(settings: TrialSettings, tmp_path: Path) -> None:
    build(settings.with_parameters({"retrain.distillation": 0.7}), tmp_path / "runs")
    build(settings, tmp_path / "runs")
    with pytest.raises(UserError, match=r"other settings \(retrain\.teacher, retrain\.distillation\)"):
        build(settings.with_parameters({"retrain.distillation": 0.7, "retrain.teacher": "run"}), tmp_path / "runs")


def test_settings_of_searches_do_not_matter(settings: TrialSettings, tmp_path: Path) -> None:
    """Neither those of the settings file, nor those that a first version recorded."""
    build(settings, tmp_path / "runs")
    build(settings.with_parameters({"lambda": 0.7, "search.strategy": "random"}), tmp_path / "runs")
    file = tmp_path / "runs" / "build.json"
    document = json.loads(file.read_text())
    document["settings"]["search"] = {"a setting": "that no version has any longer"}
    file.write_text(json.dumps(document))
    build(settings, tmp_path / "runs")
