"""``easrec retrain``: which network is trained, and from which weights."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from easrec_nni import Architecture, Choice, Dataset, SpaceConfig, TrialSettings, retrain
from easrec_nni.architecture.weights import read_weights
from easrec_nni.cli.main import app

SPACE = {"max_length": 6, "hidden": 8, "inner": 16, "heads": 2, "layers": 2, "attention": "softmax", "gate_layers": 0}


@pytest.fixture
def settings(tmp_path: Path) -> Path:
    file = tmp_path / "settings.yml"
    file.write_text(f"data: edit-me\nseed: 3\nspace: {json.dumps(SPACE)}\nretrain: {{epochs: 2, refit: true}}\n")
    return file


def test_unpruned_is_the_largest_network_of_the_settings_space(
    tiny_dataset: Dataset, settings: Path, tmp_path: Path
) -> None:
    out = tmp_path / "unpruned"
    words = ["--data", str(tiny_dataset.path), "--settings", str(settings), "--out", str(out), "--threads", "1"]
    done = CliRunner().invoke(app, ["retrain", "--unpruned", *words, "--set", "retrain.learning_rate=0.01"])
    assert done.exit_code == 0, done.output
    space = SpaceConfig(n_items=tiny_dataset.n_items, **SPACE)  # type: ignore[arg-type]
    by_hand = Architecture(choices=Choice(hidden_pruning=0, inner_pruning=0, depth=2), space=space)
    given = TrialSettings(data="any", seed=3, retrain={"epochs": 2, "refit": True, "learning_rate": 0.01})
    retrain(by_hand, tiny_dataset, tmp_path / "by-hand", settings=given)
    for name in ("weights.safetensors", "refitted/weights.safetensors"):
        expected = read_weights(tmp_path / "by-hand" / name)
        for key, weight in read_weights(out / name).items():
            torch.testing.assert_close(weight, expected[key], rtol=0, atol=0)
    written = Architecture.read(out / "architecture.json")
    assert written.space == space and written.cost == written.unpruned_cost
    assert written.dataset is not None and written.dataset.name == tiny_dataset.name
    again = ["retrain", "--arch", str(out / "architecture.json"), "--data", str(tiny_dataset.path), "--all-data"]
    done = CliRunner().invoke(app, [*again, "--scratch", "--out", str(tmp_path / "served"), "--threads", "1"])
    assert done.exit_code == 0, done.output


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--scratch"], "give either --arch architecture.json, or --unpruned"),
        (["--arch", "a.json"], "give either --weights supernet.safetensors, to inherit its weights, or --scratch"),
        (["--arch", "a.json", "--weights", "w", "--scratch"], "give either --weights"),
        (["--arch", "a.json", "--unpruned", "--scratch"], "give either --arch architecture.json, or --unpruned"),
        (["--unpruned"], "name the file that has it with --settings"),
        (["--unpruned", "--settings", "SETTINGS", "--weights", "w"], "leave out --weights"),
        (["--unpruned", "--settings", "SETTINGS", "--all-data"], "then give --arch OUT/architecture.json --all-data"),
        (["--unpruned", "--settings", "nowhere.yml"], "there is no settings file nowhere.yml"),
        (["--unpruned", "--settings", "SETTINGS", "--set", "space.heads=3"], "heads"),
    ],
)
def test_what_names_no_network_or_two_is_refused_before_anything_is_written(
    tiny_dataset: Dataset, settings: Path, tmp_path: Path, words: list[str], message: str
) -> None:
    words = [str(settings) if word == "SETTINGS" else word for word in words]
    out = tmp_path / "out"
    done = CliRunner().invoke(app, ["retrain", "--data", str(tiny_dataset.path), "--out", str(out), *words])
    assert done.exit_code == 2 and message in " ".join(done.output.split())
    assert "Traceback" not in done.output and not out.exists()
