"""Replay to NNI by a resumed trial: missing epochs in order, none twice."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from easrec_nni.training.history import replay_history, write_history
from easrec_nni.trial import nni_io as nni_trial_io
from easrec_nni.trial.reports import EpochReports


class Manager:
    """Fake NNI manager: its records of the trial, and the reports it receives."""

    def __init__(self, known: list[dict[str, Any]], final: bool = False, reachable: bool = True) -> None:
        self.known, self.final, self.reachable = known, final, reachable
        self.told: list[tuple[int | str, Any]] = []
        self.place = 0
        self.trial = self

    def ask(self, api: str) -> list[dict[str, Any]]:
        assert api == "metric-data/t1"
        if not self.reachable:
            raise OSError("nobody answers")
        records = [{"type": "PERIODICAL", "data": json.dumps(json.dumps(report))} for report in self.known]
        return records + [{"type": "FINAL", "data": json.dumps(json.dumps({"default": 1.0}))}] * self.final

    def overwrite_intermediate_seq(self, place: int) -> None:
        self.place = place

    def report_intermediate_result(self, report: dict[str, Any]) -> None:
        self.told.append((self.place, (report.get("phase"), report.get("epoch"))))

    def report_final_result(self, report: dict[str, Any]) -> None:
        self.told.append(("final", report["default"]))


@pytest.fixture
def within(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Set the environment of a trial of a manager."""

    def within(manager: Manager) -> Manager:
        monkeypatch.setenv("NNI_PLATFORM", "local")
        monkeypatch.setenv("NNI_TRIAL_JOB_ID", "t1")
        monkeypatch.setattr(nni_trial_io, "nni", manager)
        monkeypatch.setattr(nni_trial_io, "_query_manager", manager.ask)
        nni_trial_io._reported_epochs.cache_clear()
        return manager

    yield within
    nni_trial_io._reported_epochs.cache_clear()


def row(epoch: int) -> dict[str, float]:
    return {"epoch": epoch, "ndcg@10_full": 0.1, "train_loss": 1.0}


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """Run folder with three complete epochs of search and one of retraining."""
    for name, epochs in (("state", 3), ("retrained/state", 1)):
        (tmp_path / name).mkdir(parents=True)
        write_history([row(epoch) for epoch in range(epochs)], tmp_path / name / "history.csv")
    return tmp_path


def test_what_nni_lacks_is_told_in_its_place(within: Any, run: Path) -> None:
    manager = within(Manager([{"phase": "search", "epoch": 0}, {"phase": "search", "epoch": 2}]))
    replay_history(report_epoch, search=run, retrain=run / "retrained")
    assert manager.told == [(1, ("search", 1)), (3, ("retrain", 0))]
    report_epoch("retrain", row(0))  # its checkpoint was not written: computed again
    report_epoch("retrain", row(1))
    assert manager.told[2:] == [(4, ("retrain", 1))]


def test_a_trial_that_nothing_happened_to_tells_everything_once(within: Any, tmp_path: Path) -> None:
    manager = within(Manager([]))
    replay_history(report_epoch, search=tmp_path, retrain=tmp_path / "retrained")
    report_epoch("search", row(0))
    report_epoch("search", row(1))
    nni_trial_io.report_intermediate({"default": 1.0})  # without an epoch there is nothing to know it by
    nni_trial_io.report_intermediate({"default": 1.0})
    nni_trial_io.report_final({"default": 0.5})
    expected = [(0, ("search", 0)), (1, ("search", 1)), (2, (None, None)), (3, (None, None)), ("final", 0.5)]
    assert manager.told == expected


def test_a_final_result_is_not_told_twice(within: Any) -> None:
    manager = within(Manager([], final=True))
    nni_trial_io.report_final({"default": 0.5})
    assert manager.told == []


def test_a_manager_that_cannot_be_asked_is_told_all(within: Any, run: Path) -> None:
    manager = within(Manager([], reachable=False))
    replay_history(report_epoch, search=run, retrain=run / "retrained")
    nni_trial_io.report_final({"default": 0.5})
    assert [place for place, _ in manager.told] == [0, 1, 2, 3, "final"]


def report_epoch(phase: str, row: dict[str, float]) -> None:
    EpochReports(None).epoch(phase, row)
