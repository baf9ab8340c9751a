"""Preparing at scale: what is measured, beside what, and how it is shown."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest

from easrec_nni.bench import prepare_scale as prepare_scale_module
from easrec_nni.bench.document import write_documents
from easrec_nni.bench.measurement import Bench, BenchRequest, Figures
from easrec_nni.bench.measurements import ALL, select_measurements
from easrec_nni.bench.prepare_scale import draw_log, measure_floor, measure_opening, measure_prepare
from easrec_nni.bench.running import run_measurements
from easrec_nni.data import load_dataset

QUICK = BenchRequest(settings={"data": "none"}, threads=1, quick=True, repeats=1, sizes=(1_000, 3_000))


def test_the_floor_does_what_prepare_does(tmp_path: Path) -> None:
    """Both read, number and sort the same rows: the same interactions lie behind each other for every user."""
    log, out, floor = tmp_path / "log.parquet", tmp_path / "prepared", tmp_path / "floor"
    floor.mkdir()
    assert draw_log(str(log), 3_000) == {"users": 300, "items": 30, "log_bytes": log.stat().st_size}
    figures = measure_floor(str(log), str(floor)), measure_prepare(str(log), str(out))
    for each in figures:
        assert all(each[name] > 0 for name in ("seconds", "processor_seconds", "peak_memory_bytes", "bytes_on_disk"))
    rows = duckdb.sql(f"SELECT \"user\", item, timestamp FROM '{floor / 'sorted.parquet'}'").fetchnumpy()
    assert len(rows["user"]) == 3_000 and (np.diff(rows["user"]) >= 0).all()
    assert set(rows["user"]) == set(range(1, 301)) and set(rows["item"]) == set(range(1, 31))
    dataset = load_dataset(out)
    lengths = np.diff(dataset.offsets)
    dropped = dataset.manifest.dropped.get("rows that repeat user, item and time of another", 0)
    assert len(dataset.items) == 3_000 - dropped
    if not dropped:
        assert sorted(np.bincount(rows["user"])[1:]) == sorted(lengths)
    for user in (1, 150, 300):
        assert (np.diff(rows["timestamp"][rows["user"] == user]) >= 0).all()


def test_opening_gives_a_first_batch(tmp_path: Path) -> None:
    log, out = str(tmp_path / "log.parquet"), str(tmp_path / "prepared")
    draw_log(log, 2_000)
    measure_prepare(log, out)
    for mode in ("causal", "augmented"):
        figures = measure_opening(out, mode)
        assert set(figures) == {"opening_seconds", "first_batch_seconds", "peak_memory_bytes"}
        assert all(value > 0 for value in figures.values())


def test_a_quick_run_is_shown(tmp_path: Path) -> None:
    documents = run_measurements(QUICK, [ALL["prepare-scale"]], tmp_path)
    write_documents(documents, tmp_path)
    text = (tmp_path / "bench.md").read_text()
    assert "| 1,000 | " in text and "| 3,000 | " in text and "](prepare-scale.png)" in text
    assert "median (range) of 1" in text and "warm-up" not in text, "every turn counts"
    drawn = (tmp_path / "prepare-scale.svg").read_text()
    assert ">0<" not in drawn, "fractions of a second are no zeros on a logarithmic axis"
    assert (tmp_path / "prepare-scale.png").read_bytes().startswith(b"\x89PNG")
    figures = json.loads((tmp_path / "bench.json").read_text())["measurements"]["prepare-scale"]["figures"]
    first = figures["rows"][0]
    assert (first["interactions"], first["users"], first["items"]) == (1_000, 100, 10)


def test_floor_and_prepare_take_turns_and_slopes_are_of_their_times(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Times that are made up: the floor grows with n, prepare with n to the power 1.5."""
    calls: list[str] = []

    def pretend(_: Bench, function: Callable[..., Figures], **arguments: Any) -> Figures:
        calls.append(function.__name__)
        if function is draw_log:
            calls[-1] += f" {arguments['interactions']}"
            Path(arguments["log"]).write_text(str(arguments["interactions"]))
            return {"users": 1, "items": 1, "log_bytes": 1}
        if function is measure_opening:
            return {"opening_seconds": 0.5, "first_batch_seconds": 2.0, "peak_memory_bytes": 5}
        n = int(Path(arguments["log"]).read_text())
        seconds = n**1.5 if function is measure_prepare else 10 * n
        return {"seconds": seconds, "processor_seconds": seconds / 2, "peak_memory_bytes": 7, "bytes_on_disk": 9}

    monkeypatch.setattr(Bench, "in_own_process", pretend)
    monkeypatch.setattr(prepare_scale_module, "SIZES", (1_000, 4_000))
    request = BenchRequest(settings={"data": "none"}, threads=1, repeats=2)
    figures = ALL["prepare-scale"].measure(Bench(request))
    turns = ["measure_floor", "measure_prepare"] * 2 + ["measure_opening"] * 4
    assert calls == ["draw_log 1000", *turns, "draw_log 4000", *turns]
    assert figures["slopes"] == pytest.approx(
        {"floor": 1, "prepare": 1.5, "floor_processor": 1, "prepare_processor": 1.5}
    )
    by_floor = figures["rows"][0]["prepare_by_floor"]["median"]
    assert by_floor == pytest.approx(1_000**0.5 / 10)
    assert figures["rows"][1]["prepare_microseconds_per_interaction"] == pytest.approx(1e6 * 4_000**0.5)


def test_it_runs_by_name_alone() -> None:
    assert "prepare-scale" not in [each.name for each in select_measurements([], [])]
    assert [each.name for each in select_measurements(["prepare-scale"], [])] == ["prepare-scale"]


def test_a_request_without_sizes_is_known_to_earlier_versions(tmp_path: Path) -> None:
    """Folders of measurements that were made before there were sizes go on."""
    plain = QUICK.model_copy(update={"sizes": ()})
    run_measurements(plain, [ALL["matmul"]], tmp_path)
    file = tmp_path / "measurements" / "matmul.json"
    assert "sizes" not in json.loads(file.read_text())["request"]
    before = file.read_bytes()
    run_measurements(plain, [ALL["matmul"]], tmp_path)
    assert file.read_bytes() == before
