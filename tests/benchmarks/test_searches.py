"""Searches of a study: finished ones stay, weights do not, and the folders are those that a regret is measured on."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import yaml

from benchmarks import searches
from easrec_nni.architecture.document import Architecture
from easrec_nni.data import Dataset
from easrec_nni.training.history import read_history


def run(monkeypatch: pytest.MonkeyPatch, *words: str | Path) -> None:
    monkeypatch.setattr(sys, "argv", ["searches.py", *map(str, words)])
    searches.main()


@pytest.fixture
def study(tiny_dataset: Dataset, tmp_path: Path) -> Path:
    space = {"max_length": 6, "hidden": 8, "inner": 8, "heads": 2, "layers": 2, "hidden_pruning": [0, 0.5]}
    settings = {
        "data": str(tiny_dataset.path),
        "space": {**space, "inner_pruning": [0], "supernet": "shared", "gate_layers": 0},
        "search": {"epochs": 2, "batch_size": 8, "arch_batch_size": 8, "candidate_epochs": 1},
    }
    changes = {"one shot": {"search.strategy": "easrec"}, "random": {"search.strategy": "random"}}
    file = tmp_path / "study.yml"
    file.write_text(yaml.safe_dump({"settings": settings, "changes": changes}))
    return file


def test_searches_are_done_once_and_keep_no_weights(
    study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = tmp_path / "runs"
    run(monkeypatch, study, "--runs", runs, "--seeds", "0", "1", "--threads", "1")
    folders = [runs / name / f"seed{seed}" for name in ("one-shot", "random") for seed in (0, 1)]
    times = {}
    for seed, folder in zip((0, 1, 0, 1), folders, strict=True):
        architecture = Architecture.read(folder / "architecture.json")
        assert architecture.seed == seed and read_history(folder / "state" / "history.csv")
        assert not [file for file in folder.rglob("*") if file.suffix in (".safetensors", ".ckpt")]
        times[folder] = (folder / "architecture.json").stat().st_mtime_ns
    run(monkeypatch, study, "--runs", runs, "--seeds", "0", "1", "--threads", "1")
    assert all((folder / "architecture.json").stat().st_mtime_ns == time for folder, time in times.items())


def test_weights_stay_on_request(study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(monkeypatch, study, "--runs", tmp_path / "runs", "--only", "random", "--keep")
    assert (tmp_path / "runs" / "random" / "seed0" / "supernet.safetensors").is_file()
    assert not (tmp_path / "runs" / "one-shot").exists()
