"""Stages of trials, cells and architecture trials, compared with search and retraining called by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from easrec_nni import Dataset, TrialSettings, retrain, search
from easrec_nni.common.errors import UserError
from easrec_nni.study.cell import run_cell
from easrec_nni.study.cells import Cell, cell_settings
from easrec_nni.training.context import TrialContext
from easrec_nni.trial.nas import run_architecture_trial
from easrec_nni.trial.run import run_trial
from easrec_nni.trial.stages import run_stages
from search_spaces import candidate_label

SPACE = {"max_length": 6, "hidden": 8, "inner": 16, "heads": 2, "layers": 2, "supernet": "shared"}
TIMED = ("seconds", "inference_ms")


class Killed(Exception):
    """Raised in place of a kill signal."""


def settings_for(dataset: Dataset, **changes: Any) -> TrialSettings:
    document = {"data": str(dataset.path), "space": SPACE, "search": {"epochs": 2}, "retrain": {"epochs": 2}}
    return TrialSettings.parse(document, "test").with_parameters(changes)


def without_times(figures: dict[str, Any]) -> dict[str, Any]:
    """Figures without those that depend on the machine's speed or the trial's folder."""
    return {
        key: value
        for key, value in figures.items()
        if key != "files_at" and not any(key.endswith(word) or word in key for word in TIMED)
    }


@pytest.mark.parametrize("weights", ["inherit", "scratch"])
def test_they_are_a_search_and_a_retraining(weights: str, tiny_dataset: Dataset, tmp_path: Path) -> None:
    settings = settings_for(tiny_dataset, **{"retrain.weights": weights})
    by_hand = search(tiny_dataset, settings, tmp_path / "search")
    inherited = by_hand.supernet if weights == "inherit" else None
    trained = retrain(by_hand.architecture, tiny_dataset, tmp_path / "retrained", weights=inherited, settings=settings)

    reported: list[tuple[str, float]] = []
    between: list[Any] = []
    results = run_stages(
        TrialContext.open(settings, tiny_dataset),
        tmp_path / "trial",
        lambda stage, row: reported.append((stage, row["epoch"])),
        on_architecture=lambda architecture, searched: between.append((architecture, searched, len(reported))),
    )
    assert results.architecture == by_hand.architecture
    for part in ("test", "valid", "valid_selection_users", "cost", "choices"):
        assert results.retrained.metrics[part] == trained.metrics[part]
    assert results.retrained.metrics["training"]["weights"] == ("inherited" if inherited else "scratch")
    assert reported == [("search", 0), ("search", 1), ("retrain", -1), ("retrain", 0), ("retrain", 1)]
    assert between == [(by_hand.architecture, results.search, 2)]
    assert results.search is not None
    assert results.search_seconds == sum(row["seconds"] for row in results.search.history) > 0
    assert results.retrain_seconds == results.retrained.metrics["training"]["seconds"] > 0


def test_an_interrupted_trial_reports_every_epoch_again_in_order(tiny_dataset: Dataset, tmp_path: Path) -> None:
    context = TrialContext.open(settings_for(tiny_dataset), tiny_dataset)

    def kill(stage: str, row: dict[str, float]) -> None:
        if (stage, row["epoch"]) == ("retrain", 0):
            raise Killed

    with pytest.raises(Killed):
        run_stages(context, tmp_path / "trial", kill)
    reported: list[tuple[str, float]] = []
    again = run_stages(context, tmp_path / "trial", lambda stage, row: reported.append((stage, row["epoch"])))
    # The interrupted epoch has no checkpoint: it is in the history, and computed once more.
    assert reported[:4] == [("search", 0), ("search", 1), ("retrain", -1), ("retrain", 0)]
    assert reported[-1] == ("retrain", 1) and {stage for stage, _ in reported[2:]} == {"retrain"}
    unbroken = run_stages(context, tmp_path / "unbroken")
    assert again.retrained.metrics["test"] == unbroken.retrained.metrics["test"]


def test_an_architecture_that_is_given_is_not_searched(tiny_dataset: Dataset, tmp_path: Path) -> None:
    context = TrialContext.open(settings_for(tiny_dataset), tiny_dataset)
    given = context.architecture(context.space.largest)
    reported: list[str] = []
    results = run_stages(context, tmp_path / "trial", lambda stage, row: reported.append(stage), architecture=given)
    trained = retrain(given, tiny_dataset, tmp_path / "by-hand", settings=context.settings)
    assert results.search is None and results.search_seconds == 0.0 and set(reported) == {"retrain"}
    assert results.retrained.metrics["test"] == trained.metrics["test"]
    assert results.retrained.metrics["training"]["weights"] == "scratch"
    assert not (tmp_path / "trial" / "state").exists()


def test_trial_cell_and_architecture_trial_of_the_same_settings_have_the_same_figures(
    tiny_dataset: Dataset, tmp_path: Path
) -> None:
    base = settings_for(tiny_dataset, **{"retrain.weights": "scratch"})
    cell = Cell("easrec-scratch", 3)
    settings = cell_settings(cell, base)
    result = run_cell(cell, base, tmp_path / "cell").as_json()
    trial = run_trial(settings, tmp_path / "trial").report
    for part in ("test", "valid"):
        assert {name: trial[f"{part}_{name}"] for name in result[part]} == result[part]
    assert {name: trial[name] for name in result["cost"]} == result["cost"]
    assert {name: trial[name] for name in result["choices"]} == result["choices"]

    pruning = candidate_label(trial["hidden_pruning"], trial["inner_pruning"])
    (tmp_path / "nas").mkdir()
    sample = {"pruning": pruning, "depth": trial["depth"]}
    drawn = run_architecture_trial(settings, sample, tmp_path / "nas").report
    of_search = {"lambda", "decided", "entropy_pruning", "entropy_depth"}
    assert trial.keys() - drawn.keys() == of_search and not drawn.keys() - trial.keys()
    same = drawn.keys() - {"architecture"}
    assert without_times({key: drawn[key] for key in same}) == without_times({key: trial[key] for key in same})


def test_a_missing_teacher_is_an_error_before_the_search(tiny_dataset: Dataset, tmp_path: Path) -> None:
    settings = TrialSettings.parse({"data": str(tiny_dataset.path), "retrain": {"teacher": "nowhere"}}, "test")
    with pytest.raises(UserError, match="the teacher nowhere does not exist"):
        run_stages(TrialContext.open(settings, tiny_dataset), tmp_path / "trial")
    assert not (tmp_path / "trial").exists()
