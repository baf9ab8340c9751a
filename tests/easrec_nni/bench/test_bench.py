"""``easrec bench`` at a small size; complete measurements are reused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from typer.testing import CliRunner

from easrec_nni.architecture.cost import architecture_cost
from easrec_nni.bench import running as running_module
from easrec_nni.bench.measurement import Bench, BenchRequest
from easrec_nni.bench.measurements import ALL
from easrec_nni.bench.profiling import operator_shares
from easrec_nni.bench.running import all_documents, run_measurements
from easrec_nni.cli.main import build_app
from easrec_nni.common.errors import UserError
from easrec_nni.data import Dataset
from search_spaces.threads import run_each

SPACE = {"max_length": 8, "hidden": 16, "inner": 16, "heads": 2, "layers": 2, "inner_pruning": [0, 0.5]}


def run(*words: str) -> Any:
    return CliRunner().invoke(build_app(), ["bench", *words])


@pytest.mark.slow
def test_everything_at_a_small_size(tiny_dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = [f"{name}={json.dumps(value)}" for name, value in SPACE.items()]
    words = [str(tiny_dataset.path), "--quick", "--threads", "1", "--target", "0", "--out", str(tmp_path / "out")]
    words += [word for size in sizes for word in ("--set", f"space.{size}")]
    words += ["--set", "search.batch_size=8"]  # the number of batches below
    words += [word for name in ALL for word in ("--only", name)]
    result = run(*words)
    assert result.exit_code == 0, result.output
    document = json.loads((tmp_path / "out" / "bench.json").read_text())["measurements"]
    assert list(document) == list(ALL)
    for measured in document.values():
        assert {"threads", "allocator", "machine", "load_average", "versions", "commit", "command"} <= measured.keys()
    epochs = document["epochs"]["figures"]
    assert epochs["search_over_training"]["median"] > 0 and epochs["measured_batches"] == 2
    assert document["time-to-ndcg"]["figures"]["seconds_to_target"] > 0
    assert (tmp_path / "out" / "scaling.png").stat().st_size > 1000
    text = (tmp_path / "out" / "bench.md").read_text()
    assert "says nothing about speed" in text and "Slopes in log–log (from 200 on)" in text
    assert "{" not in text  # human-readable figures

    def never(*_: object) -> None:
        raise AssertionError("measured again")

    monkeypatch.setattr(running_module, "_measure_in_process", never)
    assert run(*words).exit_code == 0
    refused = run(*words, "--set", "seed=3")
    assert refused.exit_code == 2 and "--restart" in refused.stderr


def test_a_forward_pass_is_set_against_the_matmul_peak(request_: BenchRequest) -> None:
    bench = Bench(request_.model_copy(update={"choices": {"hidden_pruning": 0, "inner_pruning": 0.5, "depth": 1}}))
    figures = ALL["forward"].measure(bench)
    assert sum(row["share"] for row in figures["searched"]["operators"]) == pytest.approx(1)
    scores = figures["unpruned"]["scores"]
    cost = architecture_cost(bench.space, bench.space.largest)
    assert scores["madds_per_user"] == cost.executed_madds_per_user
    rate = cost.executed_madds_per_user * figures["users"] / scores["seconds"]["min"]
    assert scores["madds_per_second"]["max"] == pytest.approx(rate)
    share = scores["madds_per_second"]["median"] / figures["matmul_madds_per_second"]
    assert scores["share_of_matmul_peak"]["median"] == pytest.approx(share)


def test_a_profile_sees_what_inference_runs_on_other_threads() -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        pieces = [torch.ones(2, 2) for _ in range(6)]
        rows = operator_shares(lambda: run_each(torch.erf, pieces))
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
    assert {row["operator"]: row["calls"] for row in rows}["aten::erf"] == 6


def test_networks_of_all_names_are_timed(request_: BenchRequest) -> None:
    choices = {"hidden_pruning": 0, "inner_pruning": 0.5, "depth": 1}
    figures = ALL["inference"].measure(Bench(request_.model_copy(update={"choices": choices})))
    for name in ("unpruned", "searched"):
        assert all(figures[name][f"ms_per_user_batch{size}"]["median"] > 0 for size in (1, 64, 2048))
    assert figures["searched"]["parameters"] < figures["unpruned"]["parameters"]


@pytest.mark.slow
def test_a_measurement_has_a_process_of_its_own(request_: BenchRequest, tmp_path: Path) -> None:
    request = request_.model_copy(update={"quick": False, "allocator": "default"})
    document = run_measurements(request, [ALL["evaluation"]], tmp_path)["evaluation"]
    assert document["peak_memory_bytes"] > document["baseline_peak_memory_bytes"] > 0
    assert document["figures"]["unpruned"]["seconds"]["min"] > 0
    assert json.loads((tmp_path / "measurements" / "evaluation.json").read_text()) == document


def test_what_cannot_be_measured_is_named(tiny_dataset: Dataset, tmp_path: Path) -> None:
    for words, message in (
        ((), "name the dataset to measure on"),
        (("--only", "evaluation"), "name the dataset to measure on"),
        ((str(tiny_dataset.path), "--only", "onnx", "--run", "nowhere"), "nowhere/weights.safetensors cannot be read"),
        ((str(tiny_dataset.path), "--only", "matmull"), "no measurement 'matmull'"),
        ((str(tiny_dataset.path), "--allocator", "mine"), "choose from keep, default"),
    ):
        result = run(*words, "--out", str(tmp_path / "out"))
        assert result.exit_code == 2 and message in result.stderr
    assert not (tmp_path / "out").exists()


def test_a_fixed_space_has_no_search_to_measure(request_: BenchRequest) -> None:
    settings = {"data": "tiny", "space": {"hidden_pruning": [0], "inner_pruning": [0], "min_depth": 4}}
    with pytest.raises(UserError, match="one architecture"):
        ALL["epochs"].measure(Bench(request_.model_copy(update={"settings": settings})))


def test_a_damaged_measurement_is_an_error(request_: BenchRequest, tmp_path: Path) -> None:
    (tmp_path / "measurements").mkdir()
    (tmp_path / "measurements" / "matmul.json").write_text("{")
    with pytest.raises(UserError, match="damaged: pass --restart"):
        run_measurements(request_, [ALL["matmul"]], tmp_path)
    assert run_measurements(request_, [ALL["matmul"]], tmp_path, restart=True)["matmul"]["figures"]


def test_a_second_measurement_stands_beside_the_first(request_: BenchRequest, tmp_path: Path) -> None:
    first = run_measurements(request_, [ALL["matmul"]], tmp_path)
    second = run_measurements(request_, [ALL["evaluation"]], tmp_path)
    assert all_documents(tmp_path, list(ALL), second) == first | second
    (tmp_path / "measurements" / "matmul.json").write_text("{")
    with pytest.raises(UserError, match="damaged: remove it"):
        all_documents(tmp_path, list(ALL), second)


def test_the_list_names_every_measurement() -> None:
    result = run("--list")
    assert [line.partition(":")[0] for line in result.stdout.splitlines()] == list(ALL)


def test_micro_batches_are_compared_and_profiled(request_: BenchRequest) -> None:
    figures = ALL["micro-batches"].measure(Bench(request_))
    assert min(row["of_the_fastest"] for row in figures["rows"]) == 1
    assert max(row["positions"] for row in figures["rows"]) <= figures["sequences"] * figures["history"]
    for operators in figures["operators"].values():
        assert sum(row["share"] for row in operators) == pytest.approx(1)
