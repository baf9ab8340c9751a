"""Measurement of networks in torch, as ONNX files and in 8 bits."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from easrec_nni import Architecture, Choice, Dataset, SpaceConfig
from easrec_nni.architecture.weights import load_network, save_weights
from easrec_nni.bench import measurements as measurements_module
from easrec_nni.bench.measurement import Bench, BenchRequest
from easrec_nni.bench.measurements import ALL, select_measurements
from easrec_nni.bench.running import run_measurements
from easrec_nni.common.errors import UserError
from easrec_nni.evaluation.scoring import evaluate
from easrec_nni.serving import onnx_export as onnx_module


def retrained(dataset: Dataset, folder: Path) -> Architecture:
    torch.manual_seed(0)
    space = SpaceConfig(n_items=dataset.n_items, max_length=6, hidden=8, inner=16, heads=2, layers=2)
    architecture = Architecture(choices=Choice(hidden_pruning=0.5, inner_pruning=0.5, depth=1), space=space)
    architecture.write(folder / "architecture.json")
    save_weights(load_network(architecture).state_dict(), folder / "weights.safetensors")
    return architecture


@pytest.mark.slow
def test_a_retrained_folder_is_measured_in_three_forms(
    tiny_dataset: Dataset, request_: BenchRequest, tmp_path: Path
) -> None:
    architecture = retrained(tiny_dataset, tmp_path)
    (row,) = ALL["onnx"].measure(Bench(request_.model_copy(update={"runs": (str(tmp_path),)})))["rows"]
    json.dumps(row, allow_nan=False)
    assert row["test_users"] == len(tiny_dataset.split.test.users) and row["largest_difference_of_scores"] < 1e-4
    forms = row["forms"]
    assert list(forms) == ["torch_float32", "onnx_float32", "onnx_int8"]
    expected = evaluate(load_network(architecture, tmp_path / "weights.safetensors"), tiny_dataset)
    assert forms["torch_float32"]["metrics"] == expected
    assert forms["onnx_float32"]["metrics"] == pytest.approx(expected)
    for figures in forms.values():
        assert figures["ms_per_user_batch1"]["min"] > 0 and figures["ms_per_user_batch64"]["min"] > 0
    assert forms["torch_float32"]["bytes"] == (tmp_path / "weights.safetensors").stat().st_size
    lines = ALL["onnx"].table({"rows": [row]})
    assert f"{expected['ndcg@10_full']:.4f} / {expected['ndcg@10_pop100']:.4f}" in lines[2]


@pytest.mark.slow
def test_networks_with_fresh_weights_have_no_accuracy(request_: BenchRequest) -> None:
    (row,) = ALL["onnx"].measure(Bench(request_))["rows"]
    assert row["network"] == "unpruned" and all("metrics" not in form for form in row["forms"].values())
    assert all(line.endswith("| – |") for line in ALL["onnx"].table({"rows": [row]})[2:])


def test_weights_that_were_retrained_since_are_measured_again(
    tiny_dataset: Dataset, request_: BenchRequest, tmp_path: Path
) -> None:
    run, out = tmp_path / "run", tmp_path / "out"
    run.mkdir()
    retrained(tiny_dataset, run)
    request = request_.model_copy(update={"runs": (str(run),)})
    first = run_measurements(request, [ALL["matmul"]], out)
    assert run_measurements(request, [ALL["matmul"]], out) == first
    with (run / "weights.safetensors").open("ab") as file:
        file.write(b" ")
    with pytest.raises(UserError, match="measured with other settings"):
        run_measurements(request, [ALL["matmul"]], out)


def test_a_missing_package_is_named_where_it_is_asked_for(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(onnx_module, "PACKAGES", ("no_such_package",))
    with pytest.raises(UserError, match="needs the package no_such_package: pip install"):
        select_measurements(["onnx"], [])
    by_default = [name for name in ALL if ALL[name].by_default]
    assert "loss-memory" not in by_default and {"onnx", "epochs"} <= set(by_default)
    assert [measurement.name for measurement in select_measurements([], [])] == [
        name for name in by_default if name != "onnx"
    ]
    assert "onnx is skipped" in caplog.text and measurements_module.__name__ in caplog.text
