"""Systems measured in alternation, with fake workers and with real processes."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch
from safetensors.torch import save_file

from easrec_nni.architecture.document import Architecture, DatasetReference
from easrec_nni.bench.machine import allocator_environment
from easrec_nni.common.errors import UserError
from easrec_nni.data import Dataset
from easrec_nni.evaluation.figures import PROTOCOLS
from easrec_nni.evaluation.metrics import METRICS
from easrec_nni.settings.trial import TrialSettings
from easrec_nni.study import efficiency as efficiency_module
from easrec_nni.study.documents import EFFICIENCY_FILE, EfficiencyDocument
from easrec_nni.study.efficiency import WorkerProcess, measure_study, measure_systems
from easrec_nni.study.efficiency_worker import main, serve
from easrec_nni.study.folder import open_study
from easrec_nni.study.tables import Grid
from search_spaces import EASRecSpace, SpaceConfig

MIB = 1 << 20
FIGURES = [f"{metric}@10_{protocol}" for metric in METRICS for protocol in PROTOCOLS]


def write_cell(folder: Path, dataset: Dataset, system: str, layers: int = 1, trained: bool = True) -> Path:
    """Write a cell's folder as a study does, with an untrained network."""
    folder.mkdir(parents=True)
    result = {
        "schema_version": 1,
        "system": system,
        "title": system,
        "group": "baseline",
        "seed": 2,
        "parameters": {},
        "dataset": DatasetReference.of(dataset).model_dump(),
        "test": dict.fromkeys(FIGURES, 0.5),
        "valid": dict.fromkeys(FIGURES, 0.5),
    }
    (folder / "result.json").write_text(json.dumps(result))
    if trained:
        config = SpaceConfig(n_items=dataset.n_items, max_length=6, hidden=8, inner=16, heads=2, layers=layers)
        architecture = Architecture(choices=config.largest, space=config)
        architecture.write(folder / "retrained" / "architecture.json")
        torch.manual_seed(0)
        network = EASRecSpace(config).freeze(config.largest)
        save_file(network.state_dict(), folder / "retrained" / "weights.safetensors")
    return folder


@pytest.fixture
def cells(tiny_dataset: Dataset, tmp_path: Path) -> list[Path]:
    folders = [write_cell(tmp_path / name, tiny_dataset, name) for name in ("a", "b", "c")]
    return [*folders, write_cell(tmp_path / "popularity", tiny_dataset, "popularity", trained=False)]


class FakeWorker:
    """Fake worker with known measurements, which logs all requests."""

    log: list[tuple[str, str]]
    dies_at: str | None = None

    def __init__(self, cell: Path, dataset: Dataset, threads: int, allocator: str) -> None:
        self.name = cell.name
        self.facts: dict[str, Any] = {
            "test_users": 40, "throughput_batch": 256, "latency_users": 3, "threads": threads,
            "baseline_peak_memory_bytes": 100, "bytes_on_disk": 7,
        }  # fmt: skip
        self.turn = 0
        self.log.append((self.name, f"start {threads} {allocator}"))

    def ask(self, request: str) -> dict[str, Any]:
        self.log.append((self.name, request))
        if (self.name, request) == ("b", self.dies_at):
            raise UserError("b has died")
        if request == "pass":
            self.turn += 1
            # The machine gets slower: each turn takes longer than the one before.
            return {"seconds": {"a": 1.0, "b": 2.0, "c": 4.0}[self.name] * self.turn, "processor_seconds": 0.5}
        if request == "latency":
            return {"milliseconds": [9.0, 1.0 * self.turn, 0.1]}
        return {"peak_memory_bytes": 300}

    def close(self) -> None:
        self.log.append((self.name, "close"))


@pytest.fixture
def worker_class(monkeypatch: pytest.MonkeyPatch) -> type[FakeWorker]:
    monkeypatch.setattr(FakeWorker, "log", [], raising=False)
    return FakeWorker


def test_workers_take_turns_and_are_ended(
    cells: list[Path], tiny_dataset: Dataset, worker_class: type[FakeWorker]
) -> None:
    measure_systems(cells, tiny_dataset, threads=3, repeats=2, allocator="default", start=worker_class)
    turn = [(name, request) for name in "abc" for request in ("pass", "latency")]
    loading = [(name, "start 3 default") for name in "abc"]
    memory, ends = [(name, "memory") for name in "abc"], {(name, "close") for name in "abc"}
    assert worker_class.log[:-3] == [*loading, *turn, *turn, *memory] and set(worker_class.log[-3:]) == ends


def test_the_document_has_what_a_report_reads(
    cells: list[Path], tiny_dataset: Dataset, worker_class: type[FakeWorker]
) -> None:
    document = measure_systems(cells, tiny_dataset.path, threads=1, start=worker_class).as_json()
    json.dumps(document, allow_nan=False)
    read = EfficiencyDocument.model_validate(document)
    assert [(row.system, row.seed) for row in read.rows] == [("a", 2), ("b", 2), ("c", 2)]
    assert [entry["system"] for entry in document["skipped"]] == ["popularity"]
    assert (document["threads"], document["repeats"], document["allocator"]) == (1, 5, "keep")
    assert document["dataset"]["fingerprint"] == tiny_dataset.fingerprint
    assert len(document["load_average"]["before"]) == len(document["load_average"]["after"]) == 3
    row = document["rows"][1]
    assert row["inference_seconds_test_set"] == {"median": 6.0, "min": 2.0, "max": 10.0}
    assert row["inference_ms_per_user"] == {"median": 150.0, "min": 50.0, "max": 250.0}
    assert row["latency_ms_batch1"] == {"median": 3.0, "min": 1.0, "max": 5.0}
    assert row["inference_processor_seconds_test_set"]["median"] == 0.5
    assert (row["peak_memory_bytes"], row["baseline_peak_memory_bytes"], row["bytes_on_disk"]) == (300, 100, 7)
    assert (row["throughput_batch"], row["test_users"], row["latency_users"]) == (256, 40, 3)
    for name in ("median", "min", "max"):
        assert document["rows"][2]["inference_seconds_test_set"][name] == 2 * row["inference_seconds_test_set"][name]


@pytest.mark.parametrize("request_", ["pass", "latency", "memory"])
def test_a_worker_that_dies_ends_the_others(
    cells: list[Path],
    tiny_dataset: Dataset,
    worker_class: type[FakeWorker],
    request_: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(worker_class, "dies_at", request_)
    with pytest.raises(UserError, match="b has died"):
        measure_systems(cells, tiny_dataset, threads=1, start=worker_class)
    assert set(worker_class.log[-3:]) == {(name, "close") for name in "abc"}


def test_threads_are_those_of_the_environment(
    cells: list[Path], tiny_dataset: Dataset, worker_class: type[FakeWorker], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    assert measure_systems(cells, tiny_dataset, start=worker_class).threads == 7
    monkeypatch.delenv("OMP_NUM_THREADS")
    assert (measure_systems(cells, tiny_dataset, start=worker_class).threads or 0) >= 1


def test_cells_that_cannot_be_compared_are_refused(
    cells: list[Path], tiny_dataset: Dataset, worker_class: type[FakeWorker]
) -> None:
    with pytest.raises(UserError, match="repeats=0"):
        measure_systems(cells, tiny_dataset, repeats=0, start=worker_class)
    result = json.loads((cells[1] / "result.json").read_text())
    result["dataset"]["fingerprint"] = "another"
    (cells[1] / "result.json").write_text(json.dumps(result))
    with pytest.raises(UserError, match="b was not trained on"):
        measure_systems(cells, tiny_dataset, start=worker_class)
    (cells[1] / "result.json").unlink()
    with pytest.raises(UserError, match="b has no result: run `easrec reproduce`"):
        measure_systems(cells, tiny_dataset, start=worker_class)
    assert not worker_class.log


def test_a_study_keeps_its_measurement(tiny_dataset: Dataset, tmp_path: Path, worker_class: type[FakeWorker]) -> None:
    settings = TrialSettings(data=str(tiny_dataset.path))
    open_study(tmp_path / "study", tiny_dataset, settings, "smoke", "table5", Grid(("easrec",), (0,), {}))
    cell = write_cell(tmp_path / "study" / "cells" / "a", tiny_dataset, "easrec")
    document = measure_study(tmp_path / "study", [cell], repeats=1, start=worker_class).as_json()
    assert json.loads((tmp_path / "study" / EFFICIENCY_FILE).read_text()) == document
    assert [row["system"] for row in document["rows"]] == ["easrec"]


def test_what_a_worker_answers(cells: list[Path], tiny_dataset: Dataset) -> None:
    answers: list[dict[str, Any]] = []
    requests = ["pass\n", "latency\n", "memory\n", "pass\n"]
    serve(cells[0], str(tiny_dataset.path), torch.get_num_threads(), 5, requests, answers.append)
    facts, first, latency, memory, second = answers
    assert (facts["test_users"], facts["throughput_batch"], facts["latency_users"]) == (40, 256, 5)
    assert facts["bytes_on_disk"] == (cells[0] / "retrained" / "weights.safetensors").stat().st_size
    for timing in (first, second):
        assert 0 < timing["seconds"] < 60 and 0 < timing["processor_seconds"] < 60
    assert len(latency["milliseconds"]) == 5 and min(latency["milliseconds"]) > 0
    assert memory["peak_memory_bytes"] >= facts["baseline_peak_memory_bytes"] > 50 * MIB


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Program started instead of Python, which answers faster."""
    program = tmp_path / "program"
    program.write_text("")
    program.chmod(0o755)
    monkeypatch.setattr(efficiency_module.sys, "executable", str(program))
    return program


def test_a_process_is_asked_line_by_line_and_ended(
    stand_in: Path, cells: list[Path], tiny_dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MALLOC_TRIM_THRESHOLD_", "17")
    # It says what it was started with, repeats what it is asked, and waits for more until it is ended.
    stand_in.write_text(
        """#!/bin/sh
echo '{"words": "'"$*"'", "threads": "'$OMP_NUM_THREADS'", "trim": "'$MALLOC_TRIM_THRESHOLD_'", "pid": '$$'}'
while read request; do echo '{"asked": "'$request'"}'; done
exec sleep 600
"""
    )
    worker = WorkerProcess(cells[0], tiny_dataset, 3, "default")
    words = f"-m easrec_nni.study.efficiency_worker {cells[0]} {tiny_dataset.path} 3 200"
    facts = dict(worker.facts)
    pid = facts.pop("pid")
    assert facts == {"words": words, "threads": "3", "trim": ""}
    assert worker.ask("pass") == {"asked": "pass"}
    assert worker.ask("latency") == {"asked": "latency"}
    assert psutil.pid_exists(pid)
    worker.close()
    assert not psutil.pid_exists(pid)


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("""echo '{"error": "it is too hot"}'; exec sleep 600""", "a cannot be measured: it is too hot"),
        ("echo first >&2; echo MemoryError >&2; exit 3", r"its process ended with code 3 \(MemoryError\)"),
        ("kill -9 $$", r"its process ended with code -9: is there enough memory\?$"),
    ],
)
def test_a_process_that_fails_is_named_with_the_reason(
    stand_in: Path, cells: list[Path], tiny_dataset: Dataset, script: str, message: str
) -> None:
    stand_in.write_text(f"#!/bin/sh\n{script}\n")
    with pytest.raises(UserError, match=message):
        WorkerProcess(cells[0], tiny_dataset, 1, "keep")
    stand_in.write_text(f"#!/bin/sh\necho '{{}}'; read request; {script}\n")
    worker = WorkerProcess(cells[0], tiny_dataset, 1, "keep")
    for _ in range(1 if "hot" in script else 2):  # asking the dead fails likewise
        with pytest.raises(UserError, match=message):
            worker.ask("pass")
    worker.close()


def test_a_worker_says_what_is_wrong_with_a_cell(
    cells: list[Path], tiny_dataset: Dataset, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (cells[0] / "retrained" / "weights.safetensors").write_bytes(b"no weights")
    output = os.dup(1)  # which the worker turns to standard error
    try:
        assert main([str(cells[0]), str(tiny_dataset.path), str(torch.get_num_threads()), "5"]) == 1
        os.write(1, b"a library's remark")
    finally:
        os.dup2(output, 1)
        os.close(output)
    answer = json.loads(capfd.readouterr().out)
    assert "weights.safetensors is not a safetensors file" in answer["error"]


@pytest.mark.slow
def test_real_processes(cells: list[Path], tiny_dataset: Dataset) -> None:
    block = bytearray(b"x") * (900 * MIB)  # of this process, and to be seen in no other
    document = measure_systems(cells[:2], tiny_dataset, threads=1, repeats=2).as_json()
    del block
    assert not [child for child in psutil.Process().children() if "efficiency_worker" in " ".join(child.cmdline())]
    for row in document["rows"]:
        for name in ("inference_seconds_test_set", "inference_ms_per_user", "latency_ms_batch1"):
            assert 0 < row[name]["min"] <= row[name]["median"] <= row[name]["max"] < math.inf
        assert 50 * MIB < row["baseline_peak_memory_bytes"] <= row["peak_memory_bytes"] < 900 * MIB
        assert (row["test_users"], row["latency_users"]) == (40, 40)


def test_the_allocator_is_what_was_asked_for_whatever_the_environment_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MALLOC_TRIM_THRESHOLD_", "17")
    monkeypatch.setenv("SOMETHING_ELSE", "stays")
    keep, default = allocator_environment("keep"), allocator_environment("default")
    assert keep["MALLOC_TRIM_THRESHOLD_"] == keep["MALLOC_MMAP_THRESHOLD_"] == str(4 << 30)
    assert not {"MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_"} & default.keys()
    assert keep["SOMETHING_ELSE"] == default["SOMETHING_ELSE"] == "stays"
