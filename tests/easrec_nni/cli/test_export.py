"""``easrec export FOLDER --onnx``: files, messages, mistakes."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from easrec_nni import Architecture, Choice, Dataset, SpaceConfig
from easrec_nni.architecture.weights import load_network, save_weights
from easrec_nni.cli import logs
from easrec_nni.cli.main import app
from easrec_nni.evaluation.scoring import evaluate_fully
from easrec_nni.serving import onnx_export
from easrec_nni.serving.onnx_export import OnnxNetwork


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Folder of a retrained network, with random weights, alone in ``tmp_path``."""
    monkeypatch.setattr(logs, "begin_training_command", lambda *_: False)
    torch.manual_seed(0)
    space = SpaceConfig(n_items=30, max_length=6, hidden=8, inner=16, heads=2, layers=2)
    architecture = Architecture(choices=Choice(hidden_pruning=0.5, inner_pruning=0.5, depth=1), space=space)
    folder = tmp_path / "retrained"
    folder.mkdir()
    architecture.write(folder / "architecture.json")
    save_weights(load_network(architecture).state_dict(), folder / "weights.safetensors")
    return folder


@pytest.mark.slow
def test_a_retrained_folder_becomes_two_files_and_their_figures(
    run: Path, tiny_dataset: Dataset, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    out = tmp_path / "out" / "network.onnx"
    words = ["export", str(run), "--onnx", str(out), "--int8", "--data", str(tiny_dataset.path)]
    result = CliRunner().invoke(app, words, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    assert f"wrote {out}: opset 20; largest difference from torch's scores on" in result.output
    assert f"{14 + len(tiny_dataset.split.test.users)} histories: " in result.output
    assert sorted(file.name for file in out.parent.iterdir()) == [
        "network.int8.json",
        "network.int8.onnx",
        "network.items.json",
        "network.onnx",
    ]
    lines = result.stdout.splitlines()
    assert lines[1] == (
        f"wrote {out.with_name('network.items.json')}: ids in the order of the item numbers, from 0 (padding)"
    )
    assert all(line.startswith("wrote ") or ", with 8 bits " in line for line in lines) and result.stderr == ""
    assert caplog.records == []  # the optimiser alone has dozens of notes on its own insides
    network = load_network(Architecture.read(run / "architecture.json"), run / "weights.safetensors")
    figures = json.loads((out.parent / "network.int8.json").read_text())
    eight_bits = OnnxNetwork(out.parent / "network.int8.onnx", 6)
    for name, scorer in (("float32", network), ("int8", eight_bits)):
        assert figures[name] == pytest.approx(evaluate_fully(scorer, tiny_dataset)[0])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "--experiment ID, or a retrained FOLDER and --onnx FILE"),
        (["FOLDER"], "--experiment ID, or a retrained FOLDER and --onnx FILE"),
        (["--onnx", "a.onnx"], "--experiment ID, or a retrained FOLDER and --onnx FILE"),
        (["FOLDER", "--onnx", "a.onnx", "--experiment", "x"], "--experiment ID, or a retrained FOLDER and --onnx FILE"),
        (["--experiment", "x", "--int8"], "--int8 and --data belong to --onnx"),
        (["FOLDER", "--onnx", "a.onnx", "--int8"], "names no dataset: give --data NAME"),
        (["FOLDER", "--onnx", "a.onnx", "--data", "./nothing"], "not a prepared dataset"),
        (["nowhere", "--onnx", "a.onnx"], "nowhere"),
    ],
)
def test_mistakes_are_told_in_one_line(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(app, ["export", *(str(run) if word == "FOLDER" else word for word in words)])
    assert result.exit_code == 2
    assert result.output.startswith("easrec: error: ") and message in result.output
    assert [file.name for file in tmp_path.iterdir()] == ["retrained"]


@pytest.mark.slow
def test_without_a_dataset_the_message_names_the_option_for_ids(run: Path, tmp_path: Path) -> None:
    out = tmp_path / "out" / "network.onnx"
    result = CliRunner().invoke(app, ["export", str(run), "--onnx", str(out)], catch_exceptions=False)
    assert result.exit_code == 0 and "--data NAME writes them beside the file" in result.stdout
    assert [file.name for file in out.parent.iterdir()] == ["network.onnx"]


def test_without_the_extra_the_message_names_what_to_install(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(onnx_export, "PACKAGES", ("no_such_package",))
    result = CliRunner().invoke(app, ["export", str(run), "--onnx", str(tmp_path / "a.onnx")])
    assert result.exit_code == 2 and "pip install 'easrec-nni[onnx]'" in result.output
