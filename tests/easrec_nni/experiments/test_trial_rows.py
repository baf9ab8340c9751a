"""Trials joined from NNI's rows: resumed experiments, REST API and SQLite file."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

from easrec_nni.experiments.experiment import Experiment
from easrec_nni.experiments.sqlite_records import read_rows
from easrec_nni.experiments.trial_rows import MetricRow, TrialRow, join_trials


def metric(trial: str, number: int, **result: Any) -> MetricRow:
    return MetricRow.read(trial, number, "PERIODICAL", 0, json.dumps(result))


def test_records_of_a_resumed_experiment(tmp_path: Path) -> None:
    """NNI restarts the parameter numbers, and a trial on another machine reports an epoch twice."""
    rows = [
        TrialRow(name, 0, "SUCCEEDED", parameters, "1", 1, 2) for name, parameters in (("a", {"x": 1}), ("b", {"x": 2}))
    ]
    metrics = [metric("a", 1, epoch=0, phase="search"), metric("b", 1, epoch=0, phase="search")]
    metrics += [metric("b", 1, epoch=0, phase="search"), metric("b", 1, epoch=0, phase="retrain")]
    first, second = join_trials(Experiment("e", "", tmp_path, 0, False), rows, metrics)
    assert (first.parameters, second.parameters) == ({"x": 1}, {"x": 2})
    assert [report["phase"] for report in second.intermediate] == ["search", "retrain"]


def test_the_api_and_the_file_give_the_same_trials(tmp_path: Path) -> None:
    sampled = json.dumps({"parameter_id": 0, "parameters": {"lambda": 0.1}})
    final = json.dumps(json.dumps({"default": 0.5}))
    report = json.dumps(json.dumps({"default": 0.25, "phase": "search", "epoch": 0}))
    jobs = [
        {
            "trialJobId": "a",
            "sequenceId": 3,
            "status": "SUCCEEDED",
            "hyperParameters": [sampled],
            "startTime": 2000,
            "endTime": 5000,
        }
    ]
    metrics = [("a", "0", "PERIODICAL", 0, report), ("a", "0", "FINAL", 0, final)]
    names = ("trialJobId", "parameterId", "type", "sequence", "data")
    with sqlite3.connect(tmp_path / "nni.sqlite") as database:
        database.execute("create table TrialJobEvent (timestamp, trialJobId, event, data, sequenceId)")
        database.execute("create table MetricData (timestamp, trialJobId, parameterId, type, sequence, data)")
        events = [(1000, "WAITING", sampled), (2000, "RUNNING", None), (5000, "SUCCEEDED", None)]
        database.executemany("insert into TrialJobEvent values (?, 'a', ?, ?, 3)", events)
        database.executemany("insert into MetricData values (1, ?, ?, ?, ?, ?)", metrics)
    database.close()
    rows, reports = read_rows(tmp_path / "nni.sqlite")
    assert rows == [TrialRow.from_job(job) for job in jobs]
    assert reports == [MetricRow.from_api(dict(zip(names, metric, strict=True))) for metric in metrics]
    (trial,) = join_trials(Experiment("e", "", tmp_path, 0, False), rows, reports)
    assert (trial.id, trial.number, trial.status, trial.parameters) == ("a", 3, "SUCCEEDED", {"lambda": 0.1})
    assert (trial.score, trial.started, trial.ended) == (0.5, 2.0, 5.0)
    assert trial.intermediate == ({"default": 0.25, "phase": "search", "epoch": 0},)
