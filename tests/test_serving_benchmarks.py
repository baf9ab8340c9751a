"""benchmarks/streaming.py and benchmarks/onnx_files.py on networks that are small."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType

import pytest
import torch

from easrec_nni import Architecture, Choice, Dataset, SpaceConfig
from easrec_nni.architecture.weights import load_network, save_weights

ROOT = Path(__file__).resolve().parent.parent


def script(name: str) -> ModuleType:
    specification = importlib.util.spec_from_file_location(f"{name}_benchmark", ROOT / "benchmarks" / f"{name}.py")
    assert specification is not None and specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


@pytest.mark.parametrize("file", sorted((ROOT / "benchmarks").glob("*.py")), ids=lambda file: file.stem)
def test_a_script_hides_no_package(file: Path) -> None:
    """A script's folder comes first where Python looks: one named like a package is what everybody imports then."""
    assert importlib.util.find_spec(file.stem) is None


def test_streams_take_turns_with_recomputation_and_equal_it(monkeypatch: pytest.MonkeyPatch) -> None:
    streaming = script("streaming")
    monkeypatch.setattr(streaming, "HISTORIES", (50, 200, 300))
    words = "--out unused --users 1 3 --turns 2 --hidden 8 --layers 1 --items 40 --threads 1"
    document = streaming.run(streaming.options_of(words.split()))
    json.dumps(document, allow_nan=False)
    assert [row["users_at_once"] for row in document["rows"]] == [1, 3]
    for row in document["rows"]:
        assert list(row["update_and_top_ms"]) == ["50", "200", "300"]
        own, whole = row["update_and_top_ms"]["200"], row["recompute_200_and_top_ms"]
        ratio = row["times_as_fast_at_200"]
        assert 0 < own["min"] <= own["median"] <= own["max"]
        assert whole["min"] / own["max"] <= ratio["min"] <= ratio["max"] <= whole["max"] / own["min"]
    differences = document["largest_difference_of_scores"]
    assert differences["events"] == 300 and max(differences["event_by_event"], differences["in_bulk"]) < 1e-4


@pytest.mark.slow
def test_a_retrained_folder_is_measured_in_three_forms(tiny_dataset: Dataset, tmp_path: Path) -> None:
    onnx = script("onnx_files")
    torch.manual_seed(0)
    space = SpaceConfig(n_items=tiny_dataset.n_items, max_length=6, hidden=8, inner=16, heads=2, layers=2)
    architecture = Architecture(choices=Choice(hidden_pruning=0.5, inner_pruning=0.5, depth=1), space=space)
    architecture.write(tmp_path / "architecture.json")
    save_weights(load_network(architecture).state_dict(), tmp_path / "weights.safetensors")
    words = [
        "--out",
        "unused",
        "--data",
        str(tiny_dataset.path),
        "--turns",
        "1",
        "--single-users",
        "5",
        "--threads",
        "1",
    ]
    document = onnx.run(onnx.options_of([str(tmp_path), *words]))
    json.dumps(document, allow_nan=False)
    (row,) = document["rows"]
    assert row["test_users"] == len(tiny_dataset.split.test.users) and row["largest_difference_of_scores"] < 1e-4
    forms = row["forms"]
    assert list(forms) == ["torch_float32", "onnx_float32", "onnx_int8"]
    assert forms["torch_float32"]["metrics"] == pytest.approx(forms["onnx_float32"]["metrics"])
    for figures in forms.values():
        assert figures["latency_ms_batch1"]["min"] > 0 and figures["users_per_second"] > 0 and figures["bytes"] > 0
