"""``easrec evaluate``: cut-offs, protocols, mistakes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from easrec_nni import Architecture, Choice, Dataset, SpaceConfig
from easrec_nni.architecture.weights import load_network, save_weights
from easrec_nni.cli import evaluate as command_module
from easrec_nni.cli.main import app
from easrec_nni.evaluation.figures import PROTOCOLS
from easrec_nni.evaluation.scoring import evaluate_fully


@pytest.fixture
def run(tiny_dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Folder of a retrained network, with random weights."""
    monkeypatch.setattr(command_module, "begin_training_command", lambda threads: None)
    torch.manual_seed(0)
    space = SpaceConfig(n_items=tiny_dataset.n_items, max_length=6, hidden=8, inner=16, heads=2, layers=2)
    architecture = Architecture(choices=Choice(hidden_pruning=0.5, inner_pruning=0.5, depth=1), space=space)
    architecture.write(tmp_path / "architecture.json")
    save_weights(load_network(architecture).state_dict(), tmp_path / "weights.safetensors")
    return tmp_path


def evaluated(run: Path, dataset: Dataset, *options: str) -> dict[str, float]:
    out = run / "figures.json"
    result = CliRunner().invoke(
        app, ["evaluate", str(run), "--data", str(dataset.path), "--out", str(out), *options], catch_exceptions=False
    )
    assert result.exit_code == 0, result.output
    figures: dict[str, float] = json.loads(out.read_text())
    assert result.output.splitlines() == [f"{name}: {value!r}" for name, value in figures.items()]
    return figures


@pytest.mark.parametrize(
    ("options", "part", "ks", "protocols"),
    [
        ([], "test", (10,), PROTOCOLS),
        (["--k", "5,10,20"], "test", (5, 10, 20), PROTOCOLS),
        (["--k", "5", "--k", " 20, 5"], "test", (5, 20), PROTOCOLS),
        (["--part", "valid", "--protocol", "unseen", "--k", "3"], "valid", (3,), ("unseen",)),
        (["--protocol", "full,uni100", "--protocol", "pop100"], "test", (10,), ("full", "uni100", "pop100")),
    ],
)
def test_it_gives_the_figures_that_were_asked_for(
    run: Path, tiny_dataset: Dataset, options: list[str], part: str, ks: tuple[int, ...], protocols: tuple[str, ...]
) -> None:
    network = load_network(Architecture.read(run / "architecture.json"), run / "weights.safetensors")
    expected, _ = evaluate_fully(network, tiny_dataset, part, ks, protocols)
    assert evaluated(run, tiny_dataset, *options) == expected
    assert len(expected) == len(ks) * (3 * len(protocols) + 2 * ("full" in protocols))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--k", "0"], "--k 0: write whole numbers from 1"),
        (["--k", "5,ten"], "--k 5,ten: write whole numbers"),
        (["--k", ","], "--k ,: write whole numbers"),
        (
            ["--protocol", "pop200"],
            "unknown --protocol pop200; choose from full, unseen, pop100, pop100_recbole, uni100",
        ),
        (["--part", "train"], "evaluate on valid or test"),
    ],
)
def test_mistakes_are_told_in_one_line(run: Path, tiny_dataset: Dataset, options: list[str], message: str) -> None:
    result = CliRunner().invoke(app, ["evaluate", str(run), "--data", str(tiny_dataset.path), *options])
    assert result.exit_code == 2
    assert result.output.startswith("easrec: error: ") and message in result.output
    assert result.output.count("\n") == 1
