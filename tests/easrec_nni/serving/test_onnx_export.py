"""ONNX export against torch, for every architecture of a small space and for SASRec."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from easrec_nni import Choice, Dataset, EASRecSpace, SpaceConfig, UserError, evaluate
from easrec_nni.serving import onnx_export
from easrec_nni.serving.onnx_export import TOLERANCE, OnnxNetwork, export_onnx
from easrec_nni.serving.onnx_int8 import quantise_onnx
from search_spaces.attention import ATTENTIONS
from search_spaces.config import BIDIRECTIONAL_ONLY

SPACE = SpaceConfig(
    n_items=30,
    max_length=12,
    hidden=16,
    inner=24,
    heads=2,
    layers=2,
    hidden_pruning=(0, 0.5),
    inner_pruning=(0, 0.5),
    supernet="shared",
)
SASREC = SPACE.model_copy(update={"hidden_pruning": (0.0,), "inner_pruning": (0.0,), "min_depth": 2, "gate_layers": 0})
SHAPES = ((1, 1), (1, 12), (4, 7), (3, 64), (2, 65), (5, 200))


def randomise(network: EASRecSpace) -> EASRecSpace:
    """Add noise to every weight, so that outputs depend on all of them."""
    torch.manual_seed(0)
    with torch.no_grad():
        for weight in network.parameters():
            weight.add_(0.2 * torch.randn_like(weight))
        network.embedding.items.weight[0].zero_()
    return network.eval()


def assert_table_of_ids(file: Path, dataset: Dataset) -> None:
    """Assert that the JSON table has the dataset's ids and the file's metadata its SHA-256."""
    table = file.with_name("network.items.json")
    ids = json.loads(table.read_text())
    assert ids[0] is None and ids[1:] == [str(name) for name in dataset.item_ids[1:]]
    metadata = OnnxNetwork(file, 12).session.get_modelmeta().custom_metadata_map
    expected = {"item_ids": table.name, "item_ids_sha256": hashlib.sha256(table.read_bytes()).hexdigest()}
    expected |= {"dataset": dataset.name, "dataset_fingerprint": dataset.fingerprint, "n_items": "30", "padding": "0"}
    assert expected.items() <= metadata.items()


def assert_equal_scores(network: EASRecSpace, file: Path) -> None:
    """Assert equal scores on histories of all shapes, padded left, right, in the middle or not."""
    exported, random = OnnxNetwork(file, network.config.max_length), np.random.default_rng(2)
    for users, length in SHAPES:
        whole = random.integers(1, 31, (users, length))
        for gap in (slice(0, 0), slice(0, length // 2), slice(length - length // 3, length), slice(1, length - 1)):
            ids = torch.from_numpy(whole.copy())
            ids[:, gap] = 0
            with torch.no_grad():
                expected = network(ids)
            torch.testing.assert_close(exported(ids), expected, rtol=0, atol=TOLERANCE)


@pytest.mark.slow
@pytest.mark.parametrize("architecture", SPACE.architectures(), ids=lambda choice: f"{choice.label}_{choice.depth}")
def test_every_architecture_of_a_space(architecture: Choice, tmp_path: Path) -> None:
    network = randomise(EASRecSpace(SPACE).freeze(architecture))
    exported = export_onnx(network, tmp_path / "network.onnx")
    assert exported.opset == 20 and exported.difference < 1e-5 and exported.histories == 14
    assert [file.name for file in tmp_path.iterdir()] == ["network.onnx"]
    assert_equal_scores(network, exported.file)


@pytest.mark.slow
@pytest.mark.parametrize("attention", ATTENTIONS)
def test_sasrec_with_every_form_of_attention(attention: str, tmp_path: Path) -> None:
    direction = "bidirectional" if attention in BIDIRECTIONAL_ONLY else "causal"
    network = randomise(EASRecSpace(SASREC.model_copy(update={"attention": attention, "direction": direction})))
    assert_equal_scores(network, export_onnx(network, tmp_path / "network.onnx").file)


@pytest.mark.slow
def test_items_of_a_width_of_their_own(tmp_path: Path) -> None:
    network = randomise(EASRecSpace(SASREC.model_copy(update={"item_width": 6})))
    assert_equal_scores(network, export_onnx(network, tmp_path / "network.onnx").file)


@pytest.mark.slow
def test_eight_bits_and_their_accuracy(tiny_dataset: Dataset, tmp_path: Path) -> None:
    network = randomise(EASRecSpace(SASREC.model_copy(update={"min_depth": 1, "layers": 1})))
    exported = export_onnx(network, tmp_path / "network.onnx", tiny_dataset)
    assert exported.histories == 14 + len(tiny_dataset.split.test.users)
    assert exported.items == tmp_path / "network.items.json"
    assert_table_of_ids(exported.file, tiny_dataset)
    quantised = quantise_onnx(exported.file, tiny_dataset, network.config.max_length)
    assert (quantised.file.name, quantised.report.name) == ("network.int8.onnx", "network.int8.json")
    figures = json.loads(quantised.report.read_text())
    assert figures == quantised.figures and figures["fingerprint"] == tiny_dataset.fingerprint
    for name, value in evaluate(network, tiny_dataset, protocols=("full", "pop100")).items():
        assert figures["float32"][name] == pytest.approx(value, abs=1e-9)
        assert figures["difference"][name] == figures["int8"][name] - figures["float32"][name]
    for name in ("item_ids", "item_ids_sha256"):
        source, target = (OnnxNetwork(file, 12).session.get_modelmeta() for file in (exported.file, quantised.file))
        assert source.custom_metadata_map[name] == target.custom_metadata_map[name]
    ids = torch.randint(1, 31, (20, 12))
    exact, rounded = (OnnxNetwork(file, 12)(ids)[:, 1:] for file in (exported.file, quantised.file))
    error = (exact - rounded).abs().max() / exact.std()
    assert 1e-4 < error < 0.3  # rounded, but still close
    assert figures["bytes"]["int8"] == quantised.file.stat().st_size


@pytest.fixture
def fake_exporter(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Replace the exporter by one whose file returns the scores of the function in the list."""
    scores: list[Any] = []

    class Program:
        def save(self, path: str) -> None:
            Path(path).write_text("network")

    class Loaded:
        def __init__(self, file: Path, max_length: int) -> None:
            assert file.read_text() == "network"

        def __call__(self, ids: torch.Tensor) -> torch.Tensor:
            return scores[0](ids)  # type: ignore[no-any-return]

    monkeypatch.setattr(onnx_export, "_program", lambda network: Program())
    monkeypatch.setattr(onnx_export, "OnnxNetwork", Loaded)
    return scores


def scores_off_by(network: EASRecSpace, offset: float) -> Any:
    def scores(ids: torch.Tensor) -> torch.Tensor:
        out = network(ids)
        out[-1, 7] += offset
        return out

    return scores


def test_other_scores_than_torchs_are_not_written(fake_exporter: list[Any], tmp_path: Path) -> None:
    network = randomise(EASRecSpace(SASREC)).train()
    fake_exporter.append(scores_off_by(network, 5e-5))
    assert export_onnx(network, tmp_path / "a.onnx").difference == pytest.approx(5e-5, rel=0.01)
    assert network.training
    for offset in (2e-4, float("nan")):
        fake_exporter[0] = scores_off_by(network, offset)
        with pytest.raises(UserError, match="differ from torch's by"):
            export_onnx(network, tmp_path / "b.onnx")
    fake_exporter[0] = lambda ids: network(ids)[:, 1:]
    with pytest.raises(UserError, match=r"\[1, 30\] scores instead of \[1, 31\]"):
        export_onnx(network, tmp_path / "b.onnx")
    assert [file.name for file in tmp_path.iterdir()] == ["a.onnx"]


def test_what_cannot_be_exported_is_refused(
    fake_exporter: list[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UserError, match="supernet"):
        export_onnx(EASRecSpace(SPACE), tmp_path / "a.onnx")
    monkeypatch.setattr(onnx_export, "LARGEST_WEIGHTS", 1000)
    with pytest.raises(UserError, match="larger than 2 GB"):
        export_onnx(EASRecSpace(SASREC), tmp_path / "a.onnx")
    monkeypatch.setattr(onnx_export, "PACKAGES", ("onnx", "no_such_package"))
    with pytest.raises(UserError, match=r"no_such_package: pip install 'easrec-nni\[onnx\]'"):
        export_onnx(EASRecSpace(SASREC), tmp_path / "a.onnx")
    assert not list(tmp_path.iterdir())


def test_files_that_are_not_onnx_are_refused(tiny_dataset: Dataset, tmp_path: Path) -> None:
    (tmp_path / "a.onnx").write_text("hello")
    with pytest.raises(UserError, match="onnxruntime cannot load"):
        OnnxNetwork(tmp_path / "a.onnx", 10)
    with pytest.raises(UserError, match="cannot be quantised"):
        quantise_onnx(tmp_path / "a.onnx", tiny_dataset, 10)
    assert [file.name for file in tmp_path.iterdir()] == ["a.onnx"]
