"""Contract of every measurement: it runs at a small size, and its figures fit a file and a table."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from easrec_nni.bench.document import markdown
from easrec_nni.bench.measurement import BenchRequest
from easrec_nni.bench.measurements import ALL, select_measurements
from easrec_nni.bench.running import run_measurements
from easrec_nni.data import Dataset

EVERY = pytest.mark.parametrize("name", ALL)
SPACE = {"max_length": 8, "hidden": 16, "inner": 16, "heads": 2, "layers": 2, "inner_pruning": [0, 0.5]}


def numbers_of(figures: Any) -> list[float]:
    """All numbers of a document, at any depth."""
    if isinstance(figures, dict):
        return [number for value in figures.values() for number in numbers_of(value)]
    if isinstance(figures, list | tuple):
        return [number for value in figures for number in numbers_of(value)]
    return [figures] if isinstance(figures, int | float) and not isinstance(figures, bool) else []


@EVERY
def test_its_name_and_summary_can_be_shown(name: str) -> None:
    measurement = ALL[name]
    assert measurement.name == name and re.fullmatch(r"[a-z0-9]+([-_][a-z0-9]+)*", name)
    assert measurement.summary and "\n" not in measurement.summary
    assert select_measurements([name], []) == [measurement]
    default = [other for other in ALL.values() if other.by_default]
    assert select_measurements([], [name]) == [other for other in default if other is not measurement]


@pytest.mark.slow
@EVERY
def test_it_runs_at_a_small_size_and_is_not_measured_again(name: str, tiny_dataset: Dataset, tmp_path: Path) -> None:
    request = BenchRequest(
        dataset=str(tiny_dataset.path),
        settings={"data": "tiny", "space": {**SPACE, "hidden_pruning": [0]}, "search": {"batch_size": 8}},
        threads=1,
        quick=True,
        repeats=2,
        target=0.0,
    )
    documents = run_measurements(request, [ALL[name]], tmp_path)
    figures = documents[name]["figures"]
    assert numbers_of(figures), "a measurement gives numbers"
    assert {"threads", "machine", "load_average", "versions", "commit", "command"} <= documents[name].keys()
    text = json.dumps(documents, allow_nan=False)
    assert json.loads((tmp_path / "measurements" / f"{name}.json").read_text()) == json.loads(text)[name]
    table = markdown(documents)
    assert f"## {name}" in table and "{" not in table, "human-readable figures"
    assert run_measurements(request, [ALL[name]], tmp_path) == json.loads(text)
