"""The unpruned network's run: shared by trials, trained once, reported in the final result."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from easrec_nni import Dataset, TrialSettings, retrain
from easrec_nni.architecture.document import Architecture
from easrec_nni.common.run_files import JUDGEMENT_FILE
from easrec_nni.retraining.judgement import read_judgement
from easrec_nni.retraining.metrics import read_metrics
from easrec_nni.training.context import TrialContext
from easrec_nni.trial import unpruned
from easrec_nni.trial.run import run_trial
from easrec_nni.trial.stages import run_stages
from easrec_nni.trial.unpruned import train_unpruned, unpruned_root

SPACE = {"max_length": 6, "hidden": 8, "inner": 16, "heads": 2, "layers": 2, "supernet": "shared"}


def settings_for(dataset: Dataset, **changes: Any) -> TrialSettings:
    document = {
        "data": str(dataset.path),
        "space": SPACE,
        "search": {"epochs": 2},
        "retrain": {"epochs": 2},
        "judge": {"unpruned": True},
    }
    return TrialSettings.parse(document, "test").with_parameters(changes)


def test_two_trials_share_one_run_and_another_seed_has_its_own(tiny_dataset: Dataset, tmp_path: Path) -> None:
    folders, trained = [], []
    for changes in ({"lambda": 0.0}, {"lambda": 5.0, "judge.margin": 0.1}, {"seed": 1}):
        context = TrialContext.open(settings_for(tiny_dataset, **changes), tiny_dataset)
        folders.append(train_unpruned(context, tmp_path / "unpruned"))
        trained.append((folders[-1] / "weights.safetensors").stat().st_mtime_ns)
    assert folders[0] == folders[1] != folders[2] and trained[0] == trained[1]
    assert len(list((tmp_path / "unpruned").iterdir())) == 2
    network = Architecture.read(folders[0] / "architecture.json")
    assert network.choices == network.space.largest


def test_it_is_a_retraining_from_scratch_with_the_epochs_of_both_stages(tiny_dataset: Dataset, tmp_path: Path) -> None:
    context = TrialContext.open(settings_for(tiny_dataset, **{"retrain.refit": True}), tiny_dataset)
    figures = read_metrics(train_unpruned(context, tmp_path / "unpruned"))
    plain = settings_for(tiny_dataset, **{"retrain.epochs": 4, "retrain.weights": "scratch"})
    by_hand = retrain(context.architecture(context.space.largest), tiny_dataset, tmp_path / "hand", settings=plain)
    assert figures.test == by_hand.figures.test and figures.valid == by_hand.figures.valid
    assert figures.refit is None and figures.training.weights == "scratch"


def test_trials_at_the_same_time_train_it_once(
    tiny_dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    running: list[int] = []
    original = unpruned.retrain

    def watched(*arguments: Any, **options: Any) -> Any:
        running.append(len(running))
        assert len(running) == 1, "two trainings at once"
        result = original(*arguments, **options)
        running.pop()
        return result

    monkeypatch.setattr(unpruned, "retrain", watched)
    context = TrialContext.open(settings_for(tiny_dataset), tiny_dataset)
    folders: list[Path] = []
    threads = [
        threading.Thread(target=lambda: folders.append(train_unpruned(context, tmp_path / "unpruned")))
        for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(folders) == 2 and len(set(folders)) == 1 and not running


def test_a_trial_reports_the_judgement(tiny_dataset: Dataset, tmp_path: Path) -> None:
    report = run_trial(settings_for(tiny_dataset), tmp_path / "trial").report
    judgement = read_judgement(tmp_path / "trial" / "retrained")
    assert Path(judgement.compared_with).parent == tmp_path / "trial" / "unpruned"
    for prefix, judged in (("test_", judgement.test), ("valid_selection_", judgement.valid_selection_users)):
        number = {"kept": 1.0, "lost": 0.0, "cannot tell": 0.5}[judged.verdict]
        assert report[f"{prefix}kept_accuracy"] == number and report[f"{prefix}margin"] == 0.02
        assert report[f"{prefix}difference"] == pytest.approx(
            report[f"{prefix}ndcg@10_full"] / report[f"unpruned_{prefix}ndcg@10_full"] - 1
        )
        assert report.get(f"{prefix}difference_low") == judged.low
        assert report.get(f"{prefix}difference_high") == judged.high
    assert report["unpruned_madds_per_user"] == judgement.unpruned_cost["madds_per_user"] >= report["madds_per_user"]


def test_trials_that_do_not_ask_and_studies_are_not_judged(tiny_dataset: Dataset, tmp_path: Path) -> None:
    report = run_trial(settings_for(tiny_dataset, **{"judge.unpruned": False}), tmp_path / "trial").report
    assert not any("kept" in name or "unpruned" in name for name in report)
    assert not (tmp_path / "trial" / "unpruned").exists()
    context = TrialContext.open(settings_for(tiny_dataset), tiny_dataset)
    results = run_stages(context, tmp_path / "cell", architecture=context.architecture(context.space.largest))
    assert results.judgement is None and not (tmp_path / "cell" / "retrained" / JUDGEMENT_FILE).exists()


def test_the_folder_is_shared_by_an_experiments_trials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert unpruned_root(tmp_path / "alone") == tmp_path / "alone" / "unpruned"
    monkeypatch.setenv("NNI_PLATFORM", "local")
    monkeypatch.setenv("NNI_TRIAL_JOB_ID", "abc")
    roots = set()
    for trial in ("one", "two"):
        monkeypatch.setenv("NNI_OUTPUT_DIR", str(tmp_path / "environments" / "local-env" / "trials" / trial))
        roots.add(unpruned_root(tmp_path))
    assert roots == {tmp_path / "environments" / "local-env" / "unpruned"}
