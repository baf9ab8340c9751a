"""The study of a recipe: runs, and the gain of a change over the base, against a loop over users."""

from __future__ import annotations

import csv
import math
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml

from benchmarks import recipe
from easrec_nni.common.errors import UserError
from easrec_nni.data import Dataset, prepare

CHANGE = "batches by targets"


@pytest.fixture
def ordered(tmp_path: Path) -> Dataset:
    """Users who all go round 15 items in one order, so that a training gains."""
    rows = [f"{user},{(user + time) % 15},{time}" for user in range(24) for time in range(5 + user % 5)]
    (tmp_path / "log.csv").write_text("user,item,time\n" + "\n".join(rows) + "\n")
    return prepare(tmp_path / "log.csv", out=tmp_path / "prepared")


@pytest.fixture
def study(ordered: Dataset, tmp_path: Path) -> Path:
    space = {"max_length": 8, "hidden": 8, "inner": 16, "heads": 2, "layers": 1, "hidden_pruning": [0]}
    settings = {
        "data": str(ordered.path),
        "space": {**space, "inner_pruning": [0]},
        "select_by": "ndcg@10_unseen",
        "batch_by": "sequences",
        "retrain": {"epochs": 2, "learning_rate": 0.02, "batch_size": 4, "weights": "scratch"},
    }
    file = tmp_path / "study.yml"
    file.write_text(yaml.safe_dump({"settings": settings, "changes": {CHANGE: {"batch_by": "targets"}}}))
    return file


def run(monkeypatch: pytest.MonkeyPatch, *words: str | Path) -> None:
    monkeypatch.setattr(sys, "argv", ["recipe.py", *map(str, words)])
    recipe.main()


def test_a_change_is_set_against_the_base_user_by_user(
    study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs, out = tmp_path / "runs", tmp_path / "results"
    with pytest.raises(UserError, match="no complete run"):
        run(monkeypatch, study, "--runs", runs, "--collect", "--out", out)
    run(monkeypatch, study, "--runs", runs, "--refit", "--threads", "1")
    run(monkeypatch, study, "--runs", runs, "--collect", "--out", out)
    with (out / "runs.csv").open(newline="") as file:
        rows = {row["change"]: row for row in csv.DictReader(file)}
    assert list(rows) == ["base", CHANGE]
    gains: dict[str, list[float]] = {}
    for name in rows:
        with np.load(runs / name.replace(" ", "-") / "seed0" / "ranks.npz") as ranks:
            gains[name] = [1 / math.log2(1 + rank) if rank <= 10 else 0.0 for rank in ranks["valid_unseen"].tolist()]
        assert float(rows[name]["valid_ndcg@10_unseen"]) == pytest.approx(np.mean(gains[name]), abs=1e-5)
        assert 0 <= float(rows[name]["test_ndcg@10_unseen_refitted"]) <= 1
    differences = [one - other for one, other in zip(gains[CHANGE], gains["base"], strict=True)]
    mean = sum(differences) / len(differences)
    spread = math.sqrt(sum((each - mean) ** 2 for each in differences) / (len(differences) - 1))
    assert float(rows[CHANGE]["gain_valid_ndcg@10_unseen"]) == pytest.approx(mean, abs=1e-5)
    assert float(rows[CHANGE]["gain_standard_error"]) == pytest.approx(spread / math.sqrt(len(differences)), abs=1e-5)
    assert rows["base"]["gain_valid_ndcg@10_unseen"] == ""


def test_the_shipped_study_is_valid() -> None:
    settings, changes = recipe.read_study(Path(recipe.__file__).parent / "settings" / "recipe-beauty.yml")
    assert settings.select_by == "ndcg@10_unseen"
    assert changes["recipe"] == {"batch_by": "targets", "retrain.averaging": 0.998}


def test_the_study_of_teachers_teaches_with_its_own_base() -> None:
    file = Path(recipe.__file__).parent / "settings" / "distillation-beauty.yml"
    settings, changes = recipe.read_study(file)
    teachers = {change["retrain.teacher"] for change in changes.values() if "retrain.teacher" in change}
    assert teachers == {str(recipe.folder_of(Path("runs/distillation"), recipe.BASE, 0))}
    assert "--runs runs/distillation" in file.read_text()
    assert {change["retrain.distillation"] for change in changes.values() if "retrain.teacher" in change} == {
        0.5,
        0.7,
        0.9,
    }
    assert settings.retrain.averaging == 0.998
