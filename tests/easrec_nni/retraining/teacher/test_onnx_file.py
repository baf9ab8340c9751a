"""Teachers in ONNX files against the same networks in torch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from easrec_nni.architecture.run_folder import open_run
from easrec_nni.architecture.weights import read_weights
from easrec_nni.common.errors import UserError
from easrec_nni.data import Dataset
from easrec_nni.retraining.teacher.onnx_file import OnnxTeacher
from easrec_nni.retraining.teacher.store import StoredTop, open_store
from easrec_nni.serving.onnx_export import export_onnx
from easrec_nni.training.context import TrialContext
from easrec_nni.training.losses.soft_targets import TopTargets
from tests.easrec_nni.retraining.teacher.conftest import settings_for, train

onnx = pytest.importorskip("onnx")


def context_for(dataset: Dataset, **retraining: Any) -> TrialContext:
    settings = settings_for(dataset, {}, retraining)
    return TrialContext(settings, dataset, settings.space_for(dataset))


def write_file(
    path: Path,
    columns: int,
    shape: tuple[Any, ...] = ("b", "n"),
    kind: int = onnx.TensorProto.INT64,
    scale: float = 1.0,
) -> None:
    """A network that counts: the score of an item is ``scale`` times the interactions with it; columns add i / 100.

    Of 31 columns the first is that of padding; fewer columns are the last of these.
    """
    helper = onnx.helper
    inputs = [helper.make_tensor_value_info("history", kind, shape)]
    outputs = [helper.make_tensor_value_info("out", onnx.TensorProto.FLOAT, None)]
    constants = {
        "depth": np.array(31, dtype=np.int64),
        "values": np.array([0, scale], dtype=np.float32),
        "bias": np.arange(columns, dtype=np.float32)[None] / 100,
        "axis": np.array([1], dtype=np.int64),
        "first": np.array([31 - columns], dtype=np.int64),
        "end": np.array([31], dtype=np.int64),
    }
    nodes = [
        helper.make_node("Cast", ["history"], ["whole"], to=onnx.TensorProto.INT64),
        helper.make_node("OneHot", ["whole", "depth", "values"], ["hot"], axis=-1),
        helper.make_node("ReduceSum", ["hot", "axis"], ["sum"], keepdims=0),
        helper.make_node("Slice", ["sum", "first", "end", "axis"], ["cut"]),
        helper.make_node("Add", ["cut", "bias"], ["out"]),
    ]
    tensors = [onnx.numpy_helper.from_array(value, name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "counts", inputs, outputs, tensors)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, str(path))


@pytest.mark.slow
def test_a_networks_file_teaches_as_its_folder_does(chains: Dataset, tmp_path: Path) -> None:
    """With all items stored, and a network that read prefixes in its training, as the file is asked."""
    folder = tmp_path / "teacher"
    train(chains, folder, space={"hidden": 16}, mode="augmented")
    network, _ = open_run(folder, chains)
    export_onnx(network, tmp_path / "teacher.onnx", chains)
    runs = [
        train(chains, tmp_path / f"by-{kind}", teacher=str(path), teacher_items=1000, distillation=0.8)
        for kind, path in (("folder", folder), ("file", tmp_path / "teacher.onnx"))
    ]
    assert runs[0].metrics["training"]["best_epoch"] == runs[1].metrics["training"]["best_epoch"] > 0
    assert runs[1].metrics["training"]["teacher"]["kind"] == "onnx"
    weights = [read_weights(run.folder / "weights.safetensors") for run in runs]
    for name, weight in weights[0].items():  # the folder's states are rounded to float16
        torch.testing.assert_close(weights[1][name], weight, rtol=1e-2, atol=2e-3)
    other = train(chains, tmp_path / "alone")
    moved = read_weights(other.folder / "weights.safetensors")["embedding.items.weight"]
    assert not torch.allclose(weights[0]["embedding.items.weight"], moved, rtol=1e-2, atol=2e-3)


@pytest.mark.parametrize("columns", [30, 31])
@pytest.mark.parametrize("temperature", [1.0, 2.0])
@pytest.mark.parametrize("shape", [("b", "n"), ("b", 4)], ids=["any length", "four"])
def test_the_best_items_of_each_position_are_those_of_a_plain_loop(
    columns: int, temperature: float, shape: tuple[Any, ...], chains: Dataset, tmp_path: Path
) -> None:
    write_file(tmp_path / "a.onnx", columns, shape)
    context = context_for(chains, temperature=temperature, teacher_items=5)
    teacher = OnnxTeacher(tmp_path / "a.onnx")
    teacher.check(chains, served=False)
    teacher.write(context, chains, tmp_path, progress=False)
    stored = open_store(tmp_path, temperature)
    assert isinstance(stored, StoredTop)
    length = 6 if shape[1] == "n" else 4  # the space's max_length, or the file's
    positions = 0
    for user in range(chains.n_users):
        begin, end = int(chains.offsets[user]), int(chains.split.training_end()[user])
        for place in range(begin + 1, end):
            history = chains.items[max(begin, place - length) : place]
            scores = np.arange(30) / 100
            for number in history.tolist():
                scores[number - 1] += 1
            q = np.exp(scores / temperature)
            q /= q.sum()
            covered, soft = stored.at(torch.tensor([place]))
            assert covered.all() and isinstance(soft, TopTargets)
            best = np.argsort(-q, kind="stable")[:5]
            np.testing.assert_allclose(soft.probabilities[0].numpy(), q[best], rtol=1e-5)
            assert sorted(soft.items[0].tolist()) == sorted(best.tolist())
            positions += 1
    assert positions == len(stored.places) > 200


def test_files_that_do_not_fit_are_refused(chains: Dataset, tmp_path: Path) -> None:
    def refused(message: str) -> None:
        with pytest.raises(UserError, match=message):
            train(chains, tmp_path / "out", teacher=str(tmp_path / "a.onnx"))
        assert not (tmp_path / "out").exists()

    write_file(tmp_path / "a.onnx", 12)
    refused(r"gives \[1, 12\] scores for 1 histories: the dataset has 30 items, so that \[1, 31\] .* or \[1, 30\]")
    write_file(tmp_path / "a.onnx", 31, (1, "n"))
    refused("takes exactly 1 histories: export it with a dynamic first dimension")
    write_file(tmp_path / "a.onnx", 31, ("b", "n"), onnx.TensorProto.FLOAT)
    refused(r"takes history \['b', 'n'\] of tensor\(float\): export it with one input, item numbers")
    write_file(tmp_path / "a.onnx", 31, ("b", "n", 2))
    refused("export it with one input, item numbers")
    write_file(tmp_path / "a.onnx", 31, scale=float("nan"))
    refused("scores that are not finite")
    write_file(tmp_path / "a.onnx", 31)
    content = (tmp_path / "a.onnx").read_bytes()
    (tmp_path / "a.onnx").write_bytes(content[: len(content) // 2])
    refused("onnxruntime cannot load")


def test_whole_numbers_of_four_bytes_do(chains: Dataset, tmp_path: Path) -> None:
    write_file(tmp_path / "a.onnx", 31, kind=onnx.TensorProto.INT32)
    OnnxTeacher(tmp_path / "a.onnx").check(chains, served=False)


def test_a_file_for_another_dataset_is_refused(chains: Dataset, tmp_path: Path) -> None:
    write_file(tmp_path / "a.onnx", 31)
    model = onnx.load(str(tmp_path / "a.onnx"))
    onnx.helper.set_model_props(model, {"dataset": "shop", "dataset_fingerprint": "0" * 64, "max_length": "3"})
    onnx.save(model, str(tmp_path / "a.onnx"))
    with pytest.raises(UserError, match=r"was exported for another dataset \(shop, fingerprint 000000000000"):
        train(chains, tmp_path / "out", teacher=str(tmp_path / "a.onnx"))
    assert OnnxTeacher(tmp_path / "a.onnx")._length(context_for(chains)) == 3
