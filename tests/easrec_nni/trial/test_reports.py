"""Epoch reports of a trial to the assessor, the web UI and TensorBoard."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from nni.algorithms.hpo.medianstop_assessor import MedianstopAssessor
from nni.assessor import AssessResult

from easrec_nni.settings.trial import TrialSettings
from easrec_nni.trial import reports as trial_reports
from easrec_nni.trial.objective import Objective
from easrec_nni.trial.reports import EpochReports
from search_spaces import SpaceConfig

CHOICES = {"hidden_pruning": 0.5, "inner_pruning": 0.5, "depth": 1}
SPACE = SpaceConfig(n_items=30, max_length=8, hidden=8, inner=16, heads=2, layers=2, hidden_pruning=(0, 0.5))


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Reports sent to NNI."""
    reports_sent: list[dict[str, Any]] = []
    monkeypatch.setattr(trial_reports, "report_intermediate", reports_sent.append)
    return reports_sent


def row(epoch: int, ndcg: float, **more: float) -> dict[str, float]:
    return {"epoch": epoch, "ndcg@10_full": ndcg, "recall@10_full": 2 * ndcg, "train_loss": 7.0 - epoch, **more}


def run(reports: EpochReports, searched: list[float], retrained: list[float], epochs: int = 4) -> None:
    history = [row(epoch, value, expected_cost=0.5, **CHOICES) for epoch, value in enumerate(searched)]
    for epoch_row in history:
        reports.epoch("search", epoch_row)
    reports.end_search(history, CHOICES, epochs)
    for epoch, value in enumerate(retrained):
        reports.epoch("retrain", row(epoch, value))


def test_every_report_has_the_keys_of_the_first_one(sent: list[dict[str, Any]]) -> None:
    """The web UI takes its list of curves from the first report."""
    run(EpochReports(None), [0.1, 0.2, 0.15, 0.18], [0.3, 0.4])
    numbers = [{name for name, value in report.items() if isinstance(value, int | float)} for report in sent]
    assert {"default", "search", "retrain", "expected_cost", "recall@10_full", "train_loss", "depth"} <= numbers[0]
    assert all(numbers[0] <= names for names in numbers)
    assert [report["search"] for report in sent] == [0.1, 0.2, 0.15, 0.18, 0.18, 0.18]
    assert [report["retrain"] for report in sent] == [0, 0, 0, 0, 0.3, 0.4]
    assert [report["default"] for report in sent] == [0.1, 0.2, 0.15, 0.18, 0.3, 0.4]
    assert [report["phase"] for report in sent] == ["search"] * 4 + ["retrain"] * 2


def test_a_search_that_stops_early_shifts_nothing(sent: list[dict[str, Any]]) -> None:
    run(EpochReports(None), [0.3, 0.2], [0.5])
    assert [report["default"] for report in sent] == [0.3, 0.2, 0.3, 0.3, 0.5]
    assert [report["epoch"] for report in sent] == [0, 1, 2, 3, 0]
    assert [report["phase"] for report in sent] == ["search"] * 4 + ["retrain"]


def test_only_skipped_epochs_of_a_search_are_padded(sent: list[dict[str, Any]]) -> None:
    """Completed epochs, of earlier processes too, are reported unchanged: see easrec_nni.training.history."""
    reports = EpochReports(None)
    other = CHOICES | {"depth": 2}
    rows = [row(0, 0.3, **CHOICES), row(1, 0.9, **other), row(2, 0.2, **CHOICES)]
    reports.end_search(rows, CHOICES, 5)  # by the best epoch of what was exported
    assert [(report["default"], report["epoch"]) for report in sent] == [(0.3, 3), (0.3, 4)]


def test_candidates_of_a_search_are_not_padded(sent: list[dict[str, Any]]) -> None:
    reports = EpochReports(None)
    reports.epoch("search", row(0, 0.3, **CHOICES))
    reports.end_search([row(0, 0.3, **CHOICES)], CHOICES, None)
    assert len(sent) == 1


def test_medianstop_compares_stages_that_are_alike(sent: list[dict[str, Any]]) -> None:
    """The best trial's search stops early; without padding, its third report would be a retraining's, far above."""
    histories = []
    for searched, retrained in (([0.2, 0.2], [0.9, 0.9]), ([0.1, 0.2, 0.25, 0.25], [0.9, 0.9]), ([0.05] * 4, [0.1])):
        sent.clear()
        run(EpochReports(None), searched, retrained)
        histories.append([{"default": report["default"]} for report in sent])
    assessor = MedianstopAssessor("maximize", start_step=2)
    for name, history in zip(("first", "second", "weak"), histories, strict=True):
        verdicts = []
        for step in range(1, len(history) + 1):
            verdicts.append(assessor.assess_trial(name, history[:step]))
            if verdicts[-1] == AssessResult.Bad:
                break
        assessor.trial_end(name, verdicts[-1] == AssessResult.Good)
        if name == "weak":
            assert verdicts == [AssessResult.Good, AssessResult.Bad]
        else:
            assert AssessResult.Bad not in verdicts


def test_the_objective_judges_epochs_too(sent: list[dict[str, Any]]) -> None:
    settings = TrialSettings.parse({"data": "x", "objective": {"kind": "ceiling", "ceiling": 1}}, "test")
    run(EpochReports(None, Objective(settings.objective, SPACE)), [0.3], [0.4], epochs=2)
    assert all(report["default"] < 0 for report in sent)
    assert [report["ndcg@10_full"] for report in sent] == [0.3, 0.3, 0.4]


def test_nan_does_not_reach_nni(sent: list[dict[str, Any]]) -> None:
    """NNI's manager writes JSON, which has no NaN; a network before its training has no loss."""
    reports = EpochReports(None)
    reports.epoch("search", row(0, 0.3, architecture_loss=math.nan, **CHOICES))
    reports.epoch("retrain", {**row(-1, 0.4), "train_loss": math.nan})
    assert sent[1]["epoch"] == -1 and sent[1]["train_loss"] == sent[0]["train_loss"]
    for report in sent:
        json.dumps(report, allow_nan=False)


def test_a_retrainings_curve_is_over_the_search_s_users(sent: list[dict[str, Any]]) -> None:
    """All users select its epoch; trials are compared by those that trained no alpha or beta."""
    reports = EpochReports(None)
    reports.epoch("search", row(0, 0.3, **CHOICES))
    reports.epoch("retrain", row(0, 0.4, **{"selection_users_ndcg@10_full": 0.2}))
    assert [report["default"] for report in sent] == [0.3, 0.2]
    assert (sent[1]["retrain"], sent[1]["ndcg@10_full"]) == (0.2, 0.4)


def test_the_board_is_where_nni_looks_for_it(sent: list[dict[str, Any]], tmp_path: Path) -> None:
    reports = EpochReports(tmp_path / "tensorboard")
    run(reports, [0.1], [0.2], epochs=1)
    reports.close()
    assert sorted(folder.name for folder in (tmp_path / "tensorboard").iterdir()) == ["retrain", "search"]
