"""Judgement of runs: users and ranks against a plain loop, what cannot be compared, and ``--compare``."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from easrec_nni import Architecture, Choice, Dataset, TrialSettings, retrain
from easrec_nni.cli.main import app
from easrec_nni.common.errors import UserError
from easrec_nni.common.run_files import JUDGEMENT_FILE, RANKS_FILE
from easrec_nni.data import PrepareSettings, prepare
from easrec_nni.evaluation.selection import validation_rows
from easrec_nni.retraining.judgement import judge_run, read_judgement

SPACE = {"max_length": 6, "hidden": 8, "inner": 16, "heads": 2, "layers": 2}


def settings_for(dataset: Dataset, **changes: object) -> TrialSettings:
    document = {"data": str(dataset.path), "space": SPACE, "retrain": {"epochs": 2, "patience": 2}}
    return TrialSettings.parse(document, "test").with_parameters(changes)


@pytest.fixture(scope="module")
def runs(tiny_dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Runs of the unpruned network and of a smaller one."""
    settings, folder = settings_for(tiny_dataset), tmp_path_factory.mktemp("runs")
    space = settings.space_for(tiny_dataset)
    choices = {"unpruned": space.largest, "small": Choice(hidden_pruning=0.5, inner_pruning=0.5, depth=1)}
    for name, choice in choices.items():
        architecture = Architecture(choices=choice, space=space)
        architecture.write(folder / f"{name}.json")
        retrain(architecture, tiny_dataset, folder / name, settings=settings)
    return {name: folder / name for name in choices}


@pytest.fixture
def copies(runs: dict[str, Path], tmp_path: Path) -> dict[str, Path]:
    """Copies of the runs, to damage."""
    return {name: Path(shutil.copytree(folder, tmp_path / name)) for name, folder in runs.items()}


def ndcg(ranks: list[int]) -> float:
    return sum(1 / math.log2(1 + rank) for rank in ranks if rank <= 10) / len(ranks)


def test_figures_are_those_of_the_two_runs(runs: dict[str, Path], tiny_dataset: Dataset) -> None:
    judgement = judge_run(runs["small"], runs["unpruned"], tiny_dataset, 0.02)
    for judged, part in ((judgement.test, "test"), (judgement.valid_selection_users, "valid_selection_users")):
        small, unpruned = (
            json.loads((runs[name] / "metrics.json").read_text())[part]["ndcg@10_full"]
            for name in ("small", "unpruned")
        )
        assert judged.value == pytest.approx(small) and judged.unpruned == pytest.approx(unpruned)
        assert judged.difference == pytest.approx(small / unpruned - 1)
        assert (judged.figure, judged.margin) == ("ndcg@10_full", 0.02)
    assert judgement.test.users == 40 and judgement.valid_selection_users.users == 20
    with np.load(runs["small"] / RANKS_FILE) as ranks:
        assert judgement.test.value == pytest.approx(ndcg(ranks["test_full"].tolist()))
    assert judgement.cost["madds_per_user"] < judgement.unpruned_cost["madds_per_user"]
    assert read_judgement(runs["small"]).lines == judgement.lines
    assert judgement.lines[0].startswith("validation users, for the choice: ")


def test_a_run_keeps_its_own_accuracy(runs: dict[str, Path], tiny_dataset: Dataset) -> None:
    judgement = judge_run(runs["unpruned"], runs["unpruned"], tiny_dataset, 0.02)
    assert (judgement.test.verdict, judgement.test.low, judgement.test.high) == ("kept", 0.0, 0.0)
    assert judgement.valid_selection_users.difference == 0.0


def test_a_user_with_several_targets_counts_once(tmp_path: Path) -> None:
    rows = [f"u{user},i{(user + step * step) % 17},{step}" for user in range(24) for step in range(6 + user % 7)]
    (tmp_path / "log.csv").write_text("user,item,time\n" + "\n".join(rows) + "\n")
    dataset = prepare(tmp_path / "log.csv", tmp_path / "prepared", settings=PrepareSettings(split="last:2"))
    settings = settings_for(dataset)
    space = settings.space_for(dataset)
    folders = []
    for choice in (space.largest, Choice(hidden_pruning=0.5, inner_pruning=0.5, depth=1)):
        trained = retrain(
            Architecture(choices=choice, space=space), dataset, tmp_path / choice.label, settings=settings
        )
        folders.append(trained.folder)
    judgement = judge_run(folders[1], folders[0], dataset, 0.02)
    _, rows_of_selection = validation_rows(dataset, 0.5)
    for judged, part, chosen in (
        (judgement.test, "test", range(len(dataset.split.test))),
        (judgement.valid_selection_users, "valid", rows_of_selection.tolist()),
    ):
        with np.load(folders[1] / RANKS_FILE) as arrays:
            ranks = arrays[f"{part}_full"].tolist()
        by_user: dict[int, list[int]] = {}
        for row in chosen:
            by_user.setdefault(int(dataset.split.part(part).users[row]), []).append(ranks[row])
        assert judged.users == len(by_user) < len(chosen)
        assert judged.value == pytest.approx(sum(map(ndcg, by_user.values())) / len(by_user))


def change(folder: Path, file: str, edit: str) -> None:
    """Change an entry of a run's ``metrics.json``, named by a path: ``dataset.split=last:3``."""
    path, value = edit.split("=")
    document = json.loads((folder / file).read_text())
    *parents, last = path.split(".")
    place = document
    for name in parents:
        place = place[name]
    place[last] = json.loads(value)
    (folder / file).write_text(json.dumps(document))


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        ('dataset.fingerprint="0123456789abcdef"', "tested on another dataset or split"),
        ('dataset.split="last:3"', "tested on another dataset or split"),
        ("test={}", "trained on all interactions and has no figures"),
        ('settings.select_by="ndcg@10_unseen"', "selected by ndcg@10_unseen, .* by ndcg@10_full"),
    ],
)
def test_runs_that_cannot_be_compared_are_refused(
    copies: dict[str, Path], tiny_dataset: Dataset, edit: str, words: str
) -> None:
    change(copies["unpruned"], "metrics.json", edit)
    with pytest.raises(UserError, match=words):
        judge_run(copies["small"], copies["unpruned"], tiny_dataset, 0.02)
    assert not (copies["small"] / JUDGEMENT_FILE).exists() or (copies["small"] / JUDGEMENT_FILE).stat().st_size


def test_other_trainings_and_exhausted_epochs_are_noted(copies: dict[str, Path], tiny_dataset: Dataset) -> None:
    change(copies["unpruned"], "metrics.json", "training.best_epoch=0")
    assert judge_run(copies["small"], copies["unpruned"], tiny_dataset, 0.02).notes == []
    change(copies["unpruned"], "metrics.json", "training.best_epoch=1")
    change(copies["unpruned"], "metrics.json", "settings.retrain.patience=9")
    change(copies["unpruned"], "metrics.json", "settings.seed=9")  # a seed may differ
    different, exhausted = judge_run(copies["small"], copies["unpruned"], tiny_dataset, 0.02).notes
    assert "different settings: retrain.patience 2 and 9 (unpruned)" in different
    assert "still improved in the last of its 2 epochs" in exhausted


def test_a_setting_of_later_versions_is_no_difference_at_its_default(
    copies: dict[str, Path], tiny_dataset: Dataset
) -> None:
    file = copies["unpruned"] / "metrics.json"
    document = json.loads(file.read_text())
    for name in ("label_smoothing", "judge"):
        del document["settings"][name]
    del document["settings"]["retrain"]["teacher"]
    file.write_text(json.dumps(document))
    assert not any(
        "different" in note for note in judge_run(copies["small"], copies["unpruned"], tiny_dataset, 0.02).notes
    )
    for name in ("averaging", "beta2", "weight_decay"):
        del document["settings"]["retrain"][name]
    file.write_text(json.dumps(document))
    notes = judge_run(copies["small"], copies["unpruned"], tiny_dataset, 0.02).notes
    for difference in ("averaging 0.998 and 0.0", "beta2 0.98 and 0.999", "weight_decay 0.1 and 0.0"):
        assert any(f"retrain.{difference}" in note for note in notes)


def words_of(runs: dict[str, Path], dataset: Dataset, out: Path) -> list[str]:
    arch = str(runs["small"].parent / "small.json")
    options = ["--set", "retrain.epochs=2", "--set", "retrain.patience=2", "--threads", "1"]
    return ["retrain", "--arch", arch, "--data", str(dataset.path), "--scratch", "--out", str(out), *options]


def test_compare_judges_a_completed_run(runs: dict[str, Path], tiny_dataset: Dataset, tmp_path: Path) -> None:
    out = tmp_path / "small"
    shutil.copytree(runs["small"], out)
    weights = (out / "weights.safetensors").stat().st_mtime_ns
    words = [*words_of(runs, tiny_dataset, out), "--compare", str(runs["unpruned"]), "--margin", "5%"]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    judgement = read_judgement(out)
    assert judgement.test.margin == 0.05 and f"test users: {judgement.test.text}" in done.output
    assert (out / "weights.safetensors").stat().st_mtime_ns == weights
    restarted = CliRunner().invoke(app, [*words_of(runs, tiny_dataset, out), "--restart"])
    assert restarted.exit_code == 0 and not (out / JUDGEMENT_FILE).exists()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--margin", "2%"], "--margin belongs to --compare"),
        (["--compare", "RUN", "--margin", "150%"], "write a share such as 2% or 0.02"),
        (["--compare", "RUN", "--margin", "two"], "write a share such as 2% or 0.02"),
        (["--compare", "RUN", "--all-data"], "--all-data leaves none"),
        (["--compare", "nowhere"], "cannot read nowhere/metrics.json"),
    ],
)
def test_mistakes_end_before_the_training(
    runs: dict[str, Path], tiny_dataset: Dataset, tmp_path: Path, options: list[str], words: str
) -> None:
    options = [str(runs["unpruned"]) if option == "RUN" else option for option in options]
    done = CliRunner().invoke(app, [*words_of(runs, tiny_dataset, tmp_path / "out"), *options])
    assert done.exit_code == 2 and words in done.output.replace("\n", " ")
    assert not (tmp_path / "out").exists()
