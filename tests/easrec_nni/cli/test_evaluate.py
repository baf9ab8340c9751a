"""``easrec evaluate``: cut-offs, protocols, mistakes."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from typer.testing import CliRunner

from easrec_nni import Architecture, Choice, Dataset, SpaceConfig
from easrec_nni.architecture.document import DatasetReference
from easrec_nni.architecture.weights import load_network, save_weights
from easrec_nni.cli import evaluate as command_module
from easrec_nni.cli.main import app
from easrec_nni.data import PrepareSettings, prepare
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


def evaluated(run: Path, dataset: Dataset, *options: str) -> dict[str, Any]:
    out = run / "figures.json"
    result = CliRunner().invoke(
        app, ["evaluate", str(run), "--data", str(dataset.path), "--out", str(out), *options], catch_exceptions=False
    )
    assert result.exit_code == 0, result.output
    document: dict[str, Any] = json.loads(out.read_text())
    about = {name: document.pop(name) for name in ("dataset", "split", "part", "users", "targets")}
    targets = dataset.split.part(about["part"])
    assert about["dataset"] == dataset.name and about["split"] == dataset.split.name
    assert (about["users"], about["targets"]) == (targets.n_users, len(targets))
    first, *lines = result.output.splitlines()
    assert first == f"{about['part']}, split {about['split']}: {len(targets)} targets of {targets.n_users} users"
    assert lines == [f"{name}: {value!r}" for name, value in document.items()]
    return document


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


def test_the_split_is_named_and_users_are_counted(run: Path, tiny_dataset: Dataset, tmp_path: Path) -> None:
    source, settings = tiny_dataset.path.parent / "tiny.csv", PrepareSettings(split="last:2", evaluate_users=9)
    dataset = prepare(source, tmp_path / "sampled", settings=settings)
    figures = evaluated(run, dataset, "--protocol", "full")
    assert len(dataset.split.test) > dataset.split.test.n_users == 9 and figures["recall@10_full"] >= 0


@pytest.mark.parametrize(
    ("trained_by", "split", "message"),
    [
        ("none", "leave-one-out", "was trained on all interactions, those of validation and test too"),
        ("last:2", "leave-one-out", "split by last:2, and .* is split by leave-one-out: .* may have seen its targets"),
        ("leave-one-out", "none", "is split by none"),
    ],
)
def test_a_network_is_not_evaluated_by_what_it_was_trained_on(
    run: Path, tiny_dataset: Dataset, tmp_path: Path, trained_by: str, split: str, message: str
) -> None:
    source = tiny_dataset.path.parent / "tiny.csv"
    trained = prepare(source, tmp_path / "trained", settings=PrepareSettings(split=trained_by))
    dataset = prepare(source, tmp_path / "evaluated", settings=PrepareSettings(split=split))
    architecture = Architecture.read(run / "architecture.json")
    architecture.model_copy(update={"dataset": DatasetReference.of(trained)}).write(run / "architecture.json")
    result = CliRunner().invoke(app, ["evaluate", str(run), "--data", str(dataset.path)])
    assert result.exit_code != 0 and re.search(message, result.output)


def test_a_dataset_without_targets_evaluates_nothing(run: Path, tiny_dataset: Dataset, tmp_path: Path) -> None:
    source = tiny_dataset.path.parent / "tiny.csv"
    dataset = prepare(source, tmp_path / "none", settings=PrepareSettings(split="none"))
    result = CliRunner().invoke(app, ["evaluate", str(run), "--data", str(dataset.path)])
    assert result.exit_code != 0 and "everything trains (--split none)" in result.output
