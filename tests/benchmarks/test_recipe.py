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
    assert float(rows[CHANGE]["gain_valid_ndcg@10"]) == pytest.approx(mean, abs=1e-5)
    assert float(rows[CHANGE]["gain_standard_error"]) == pytest.approx(spread / math.sqrt(len(differences)), abs=1e-5)
    assert rows["base"]["gain_valid_ndcg@10"] == ""
    table = (out / "table.md").read_text().splitlines()
    assert [line.split(" | ")[0] for line in table] == ["| change", table[1], "| base", f"| {CHANGE}"]
    assert f"{mean:+.4f} ± {spread / math.sqrt(len(differences)):.4f}".replace("-", "−").replace("0.", ".") in table[3]
    # Rows of runs that are elsewhere stay, those of the same runs are written again.
    text = (out / "runs.csv").read_text()
    elsewhere = text.splitlines()[2].replace(CHANGE, "earlier change")
    (out / "runs.csv").write_text(text + elsewhere + "\n")
    run(monkeypatch, study, "--runs", runs, "--collect", "--out", out)
    lines = text.splitlines()
    assert (out / "runs.csv").read_text().splitlines() == [lines[0], elsewhere, *lines[1:]]
    assert "| earlier change | base | 1 |" in (out / "table.md").read_text()


def test_the_shipped_study_is_valid() -> None:
    settings, changes = recipe.read_study(Path(recipe.__file__).parent / "settings" / "recipe-beauty.yml")
    assert settings.select_by == "ndcg@10_unseen"
    assert changes["recipe"].settings == {"batch_by": "targets", "retrain.averaging": 0.998}
    assert changes["label smoothing .1"].settings == {**changes["recipe"].settings, "label_smoothing": 0.1}
    assert changes["label smoothing .1"].compared_with == "recipe"


def test_a_change_is_built_on_the_one_it_is_compared_with(study: Path, tmp_path: Path) -> None:
    document = yaml.safe_load(study.read_text())
    document["changes"]["slower"] = {"compared_with": CHANGE, "retrain.learning_rate": 0.01, "kept": "no"}
    study.write_text(yaml.safe_dump(document, sort_keys=False))
    assert recipe.read_study(study)[1]["slower"] == recipe.Change(
        {"batch_by": "targets", "retrain.learning_rate": 0.01}, CHANGE, "no"
    )
    document["changes"]["slower"]["compared_with"] = "faster"
    study.write_text(yaml.safe_dump(document, sort_keys=False))
    with pytest.raises(UserError, match="slower: compared_with names 'faster'"):
        recipe.read_study(study)


def row(change: str, seed: int, gain: str = "", error: str = "", seconds: int = 10) -> dict[str, str]:
    figures = {f"{part}_{name}@10_unseen": f"0.{seed + 1}" for part in ("valid", "test") for name in ("recall", "ndcg")}
    figures["ranking"] = "unseen"
    with_ = "base" if gain else ""
    told = {"gain_valid_ndcg@10": gain, "gain_standard_error": error, "compared_with": with_}
    return {"change": change, "seed": str(seed), "best_epoch": str(seed), "seconds": str(seconds), **figures, **told}


def test_a_gain_over_seeds_is_the_mean_over_users_of_their_means_over_seeds() -> None:
    differences = np.array([[0.1, -0.3, 0.2, 0.0], [0.3, -0.1, 0.2, -0.2]])
    rows = [row("base", 0), row("faster", 0, "+0.00000", "0.1"), row("faster", 1, "+0.05000", "0.1", seconds=20)]
    line = recipe.changes_table(rows, {"faster": differences}, {"faster": "no"}).splitlines()[-1]
    users = [(differences[0, u] + differences[1, u]) / 2 for u in range(4)]
    mean = sum(users) / 4
    error = math.sqrt(sum((user - mean) ** 2 for user in users) / 3 / 4)
    gain = f"+{mean:.4f} ± {error:.4f}".replace("0.", ".")
    assert line == f"| faster | base | 2 | .1500 / .1500 | {gain} | .1500 / .1500 | 0 1 | 15 | no |"


def test_a_gain_without_its_users_is_the_mean_of_the_rows() -> None:
    one, several = [row("one", 0, "-0.00196", "0.00074")], [row("two", 0, "+0.1", "0.1"), row("two", 1, "+0.2", "0.3")]
    lines = recipe.changes_table([*one, *several], {}, {}).splitlines()
    assert "| −.0020 ± .0007 |" in lines[2]
    assert "| +.1500 ± .2000 |" in lines[3]


def test_seeds_without_a_pair_are_told_apart() -> None:
    rows = [row("one", 0, "+0.00100", "0.00050"), row("one", 1)]
    assert "+.0010 ± .0005 (1 of the seeds)" in recipe.changes_table(rows, {}, {})


def test_the_study_of_teachers_teaches_with_its_own_base() -> None:
    file = Path(recipe.__file__).parent / "settings" / "distillation-beauty.yml"
    settings, changes = recipe.read_study(file)
    teachers = {
        change.settings["retrain.teacher"] for change in changes.values() if "retrain.teacher" in change.settings
    }
    assert teachers == {str(recipe.folder_of(Path("runs/distillation"), recipe.BASE, 0))}
    assert "--runs runs/distillation" in file.read_text()
    assert {
        change.settings["retrain.distillation"] for change in changes.values() if "retrain.teacher" in change.settings
    } == {
        0.3,
        0.5,
        0.7,
    }
    assert settings.retrain.averaging == 0.998
