from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from easrec_nni.report.costs import cost_records, cost_table, published_cost_table
from easrec_nni.report.reading import read_study
from easrec_nni.report.sections import Section, merge_studies

WriteStudy = Callable[..., Path]


def _section(path: Path) -> Section:
    return merge_studies([read_study(path)])[0]


def test_costs_are_means_and_measurements_medians(write_study: WriteStudy, tmp_path: Path) -> None:
    path = write_study(tmp_path / "s", {"sasrec": 0.0, "easrec": 0.1}, seeds=(0, 1), madds={"sasrec": 8e6})
    document = json.loads((path / "efficiency.json").read_text())
    row = next(row for row in document["rows"] if row["system"] == "easrec")
    other = {**row, "seed": 1, "inference_ms_per_user": {"median": 0.09, "min": 0.01, "max": 0.1}}
    row["inference_ms_per_user"] = {"median": 0.05, "min": 0.04, "max": 0.2}
    document["rows"].append(other)
    (path / "efficiency.json").write_text(json.dumps(document))
    sasrec, easrec = cost_records(_section(path))
    assert (sasrec["madds_per_user"], easrec["madds_per_user"]) == (8e6, 4e6)
    assert easrec["parameters"] == pytest.approx(200_000) and easrec["bytes_on_disk"] == 800_000
    assert easrec["inference_ms_per_user"] == pytest.approx(0.07)
    assert (easrec["inference_ms_per_user_min"], easrec["inference_ms_per_user_max"]) == (0.01, 0.2)
    assert easrec["search_seconds"] == pytest.approx(100.0) and easrec["search_seconds_sd"] == pytest.approx(0.5**0.5)
    assert easrec["retrain_seconds"] == pytest.approx(37.5)
    assert easrec["making_seconds"] == pytest.approx(137.5)
    assert sasrec["search_seconds"] is None and sasrec["making_seconds"] == pytest.approx(37.5)
    assert (easrec["published_inference_seconds"], easrec["published_gpu_gigabytes"]) == (14.8, 11.07)


def test_the_table_marks_the_cheapest_and_names_the_batch(write_study: WriteStudy, tmp_path: Path) -> None:
    section = _section(write_study(tmp_path / "s", {"sasrec": 0.0, "easrec": 0.1}, madds={"sasrec": 8e6}))
    table = cost_table(section, cost_records(section))
    sasrec, easrec = table.rows
    assert not any(column.published for column in table.columns)
    beside = published_cost_table(section, cost_records(section))
    assert beside is not None and beside.rows[1].name == "EASRec"
    assert [beside.rows[1].entries[column.key].text for column in beside.columns[2:]] == ["14.8", "11.07"]
    for key in ("inference_seconds_test_set", "peak_memory_bytes"):
        assert beside.rows[1].entries[key].text == easrec.entries[key].text
    assert easrec.entries["madds_per_user"].text == "4.0 M" and easrec.entries["madds_per_user"].best
    assert not sasrec.entries["madds_per_user"].best
    assert easrec.entries["inference_seconds_test_set"].spread == "0.0428 to 0.0552"
    assert easrec.entries["peak_memory_bytes"].spread == "its own 44.0 MB"
    assert easrec.entries["making_seconds"].spread == "search 1 min 40 s"
    assert any(column.title == "batch of 256, ms per user" for column in table.columns)
    assert any("with the network of seed 0;" in note for note in table.notes)
    assert any("5 repeats, 2 threads" in note and "memory: 25.0 GB" in note for note in table.notes)
    assert not any("not idle" in note for note in table.notes)


def test_a_machine_that_was_not_idle_is_said(write_study: WriteStudy, tmp_path: Path) -> None:
    path = write_study(tmp_path / "s", {"easrec": 0.1})
    document = json.loads((path / "efficiency.json").read_text())
    document["load_average"] = {"before": [1.5, 0.1, 0.1], "after": [1.0, 0.1, 0.1]}
    (path / "efficiency.json").write_text(json.dumps(document))
    section = _section(path)
    notes = cost_table(section, cost_records(section)).notes
    assert any("not idle: 1.5 processes on 2 cores" in note for note in notes)


def test_without_measurements_the_table_says_so(write_study: WriteStudy, tmp_path: Path) -> None:
    section = _section(write_study(tmp_path / "s", {"easrec": 0.1, "sasrec": 0.0}, efficiency=False))
    table = cost_table(section, cost_records(section))
    assert not any(column.key.startswith(("inference", "latency", "peak")) for column in table.columns)
    assert any("Inference was not measured: there is no efficiency.json" in note for note in table.notes)


def test_systems_that_were_not_measured_are_named(write_study: WriteStudy, tmp_path: Path) -> None:
    section = _section(write_study(tmp_path / "s", {"easrec": 0.1, "popularity": 0.0}))
    table = cost_table(section, cost_records(section))
    assert "Inference was not measured for: popularity." in table.notes
    popularity = table.rows[1].entries
    assert popularity["madds_per_user"].value is None and popularity["bytes_on_disk"].value is None
