"""NNI's records and names of experiments, trials and cells."""

from __future__ import annotations

import json
import pickle
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from easrec_nni.experiments import sqlite_records
from easrec_nni.experiments.export import export_architecture
from easrec_nni.experiments.records import find_experiment
from easrec_nni.experiments.result_files import read_exported
from easrec_nni.study.cells import Cell
from tests.hostile_files.conftest import DEPTH, EXPERIMENT, FOUND, refused


@pytest.fixture
def records(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Maker of a stopped experiment's records of one trial: last event, id, and a final result."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    home = tmp_path / "home" / "nni-experiments"
    home.mkdir(parents=True)
    (home / ".experiment").write_text(json.dumps({EXPERIMENT: {"status": "STOPPED", "logDir": str(tmp_path / "runs")}}))
    (tmp_path / "runs" / EXPERIMENT / "db").mkdir(parents=True)

    def make(final: Any, trial: str = "t1", when: Any = 1, sampled: Any = "{}", tables: str = TABLES) -> None:
        with closing(sqlite3.connect(tmp_path / "runs" / EXPERIMENT / "db" / "nni.sqlite")) as database, database:
            database.executescript(tables)
            if tables is TABLES:
                event = (when, trial, "SUCCEEDED", sampled, 0)
                database.execute("insert into TrialJobEvent values (?, ?, ?, ?, ?)", event)
                database.execute("insert into MetricData values (1, ?, '0', 'FINAL', 0, ?)", (trial, final))

    return make


COLUMNS = "(timestamp integer, trialJobId text, event text, data text, sequenceId integer)"
METRICS = "create table MetricData (timestamp integer, trialJobId text, parameterId text, type text, sequence, data);"
TABLES = f"create table TrialJobEvent {COLUMNS}; {METRICS}"
ENDLESS = f"""{METRICS} create view TrialJobEvent as with recursive n(x) as (select 1 union all select x + 1 from n)
    select x timestamp, 'a' trialJobId, 'x' event, '' data, 0 sequenceId from n;"""


def final(**changes: Any) -> str:
    return json.dumps({"default": 0.5, "architecture": FOUND.to_json(indent=None)} | changes)


@pytest.mark.parametrize("trial", ["../../../../etc", "/etc", "a/b", "..", "x" * 65, "\x1b[2J"])
def test_ids_of_trials_become_paths(trial: str, records: Callable[..., None], tmp_path: Path) -> None:
    records(final(), trial)
    assert "is not a trial id" in refused(lambda: export_architecture(EXPERIMENT, tmp_path / "out.json"))


@pytest.mark.parametrize(
    "result",
    [
        "[" * DEPTH,
        "9" * 5000,
        '{"default": ' + "9" * 4000 + "}",
        '{"default": 1e999}',
        None,
        pickle.dumps({"default": 1}),
        final(architecture="[" * DEPTH),
        final(architecture="/etc/passwd"),
        final(architecture=["/etc/passwd"]),
        final(architecture=FOUND.to_json().replace('"hidden": 8', '"hidden": 1000000000')),
    ],
    ids=range(10),
)
def test_final_results(result: Any, records: Callable[..., None], tmp_path: Path) -> None:
    records(result)
    refused(lambda: export_architecture(EXPERIMENT, tmp_path / "out.json"))
    assert not (tmp_path / "out.json").exists()


def test_records_with_text_for_numbers(records: Callable[..., None], tmp_path: Path) -> None:
    records(final(), when="yesterday")
    assert "they are damaged" in refused(lambda: export_architecture(EXPERIMENT, tmp_path / "out.json"))


def test_records_with_nonsense_for_parameters_still_hold_the_result(
    records: Callable[..., None], tmp_path: Path
) -> None:
    records(final(), sampled="[" * DEPTH)
    assert export_architecture(EXPERIMENT, tmp_path / "out.json").architecture == FOUND


def test_records_that_compute_for_ever(
    records: Callable[..., None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_records, "READING_SECONDS", 0.2)
    records(None, tables=ENDLESS)
    assert "interrupted" in refused(lambda: export_architecture(EXPERIMENT, tmp_path / "out.json"))


@pytest.mark.parametrize("name", ["../..", "..", "/etc", "a/b", "", "x" * 65, f"{EXPERIMENT}\n", "\0", "*"])
def test_ids_of_experiments(name: str, records: Callable[..., None]) -> None:
    assert "NNI has no experiment" in refused(lambda: find_experiment(name))


@pytest.mark.parametrize(
    "entry",
    [{"logDir": 5}, {"logDir": "\0"}, {"logDir": "x" * 5000}, {"port": True, "status": "RUNNING"}, {"port": []}],
)
def test_nnis_list_of_experiments(entry: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "nni-experiments").mkdir()
    (tmp_path / "nni-experiments" / ".experiment").write_text(json.dumps({EXPERIMENT: entry}))
    assert "are gone" in refused(lambda: find_experiment(EXPERIMENT))


EXPORTED = {
    "parameters that are a list": '[{"trialJobId": "a", "value": "1", "parameter": [1]}]',
    "nesting in parameters": json.dumps(
        {"trialMessage": [{"trialJobId": "a", "status": "S", "hyperParameters": ["[" * DEPTH]}]}
    ),
    "an infinite number": '{"trialMessage": [{"trialJobId": "a", "status": "S", "sequenceId": 1e999}]}',
    "a path for an id": '[{"trialJobId": "../../../../etc", "value": {"default": 1}}]',
    "a path for an architecture": '{"default": 0.5, "architecture": "/etc/passwd"}',
}


@pytest.mark.parametrize("name", EXPORTED)
def test_exported_trials(name: str, tmp_path: Path) -> None:
    (tmp_path / "trials.json").write_text(EXPORTED[name])
    refused(lambda: export_architecture(tmp_path / "trials.json", tmp_path / "out.json", weights=True))
    assert not (tmp_path / "out.json").exists()


def test_a_table_of_trials_with_a_huge_cell(tmp_path: Path) -> None:
    (tmp_path / "trials.csv").write_text("trialJobId,default,architecture\na,1," + "x" * (2 << 20))
    assert "field larger than field limit" in refused(lambda: read_exported(tmp_path / "trials.csv"))


@pytest.mark.parametrize("parameters", [{"../../x": 1}, {"mode": "../../x"}, {"x": "\0"}, {"x": "y" * 300}, {"a\n": 1}])
def test_parameters_of_cells_become_folders(parameters: dict[str, Any]) -> None:
    assert "cannot be the name of a folder" in refused(lambda: Cell("easrec", 0, parameters).path)
