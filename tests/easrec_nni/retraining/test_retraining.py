"""Training on all interactions: as a plain loop, from any split, as long as the validated run, without figures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy
from typer.testing import CliRunner

from easrec_nni.architecture.document import Architecture
from easrec_nni.architecture.run_folder import check_evaluated, open_run
from easrec_nni.architecture.weights import load_network
from easrec_nni.cli.main import app
from easrec_nni.common.errors import UserError
from easrec_nni.data import Dataset, PrepareSettings, prepare
from easrec_nni.retraining.stage import retrain, retrain_on_all_data
from easrec_nni.searching.stage import search
from easrec_nni.serving.history import recommend_after
from easrec_nni.settings.trial import TrialSettings
from easrec_nni.training.trainer import seed_everything
from search_spaces import Choice, EASRecNetwork

SPACE = {"max_length": 30, "hidden": 8, "inner": 16, "heads": 2, "layers": 1, "dropout": 0, "gate_layers": 0}
CHOICE = Choice(hidden_pruning=0, inner_pruning=0, depth=1)
RATE, EPOCHS = 0.005, 2


def settings_for(dataset: Dataset, **changes: Any) -> TrialSettings:
    recipe = {"epochs": 3, "learning_rate": RATE, "batch_size": 64, "averaging": 0, "weights": "scratch"}
    recipe |= {"beta2": 0.999, "weight_decay": 0.0}
    document = {"data": str(dataset.path), "space": SPACE, "search": {"epochs": 1}, "retrain": recipe, "seed": 3}
    return TrialSettings.parse({**document, **changes}, "test")


def architecture_for(dataset: Dataset, **changes: Any) -> Architecture:
    return Architecture(choices=CHOICE, space=settings_for(dataset, **changes).space_for(dataset))


def of_split(dataset: Dataset, split: str, folder: Path) -> Dataset:
    return prepare(dataset.path.parent / "tiny.csv", folder / split, settings=PrepareSettings(split=split))


@pytest.mark.parametrize("split", ["leave-one-out", "time:70%,85%", "none"])
def test_all_interactions_train_whatever_the_split(tiny_dataset: Dataset, tmp_path: Path, split: str) -> None:
    dataset = of_split(tiny_dataset, split, tmp_path)
    settings = settings_for(dataset)
    done = retrain_on_all_data(architecture_for(dataset), dataset, tmp_path / "out", settings=settings, epochs=EPOCHS)
    # One batch: all histories, none longer than the network looks back, a loss at every interaction but the first.
    histories = [
        dataset.items[begin:end].tolist() for begin, end in zip(dataset.offsets[:-1], dataset.offsets[1:], strict=True)
    ]
    longest = max(map(len, histories))
    rows = torch.tensor([[0] * (longest - len(items)) + items for items in histories])
    ids, targets = rows[:, :-1], torch.where(rows[:, :-1] != 0, rows[:, 1:], 0)
    seed_everything(3)
    network = EASRecNetwork(architecture_for(dataset).space.compact(CHOICE))
    adam = torch.optim.Adam(network.parameters(), lr=RATE)
    for _ in range(EPOCHS):
        real = targets != 0
        scores = network.states(ids)[real] @ network.embedding.items.weight[1:].T
        adam.zero_grad()
        cross_entropy(scores, targets[real] - 1).backward()
        adam.step()
    written = load_network(
        Architecture.read(tmp_path / "out" / "architecture.json"), tmp_path / "out" / "weights.safetensors"
    )
    for name, weight in network.state_dict().items():
        torch.testing.assert_close(written.state_dict()[name], weight, rtol=1e-4, atol=1e-5)
    assert done.metrics["training"]["epochs"] == EPOCHS


def test_masked_items_are_of_all_interactions(tiny_dataset: Dataset, tmp_path: Path) -> None:
    space = {**SPACE, "objective": "masked", "direction": "bidirectional"}
    settings = settings_for(tiny_dataset, space=space, mode="masked")
    architecture = architecture_for(tiny_dataset, space=space, mode="masked")
    done = retrain_on_all_data(architecture, tiny_dataset, tmp_path, settings=settings, epochs=1)
    assert np.isfinite(done.network(torch.tensor([[1, 2]])).detach().numpy()[:, 1:]).all()


def test_the_validated_run_tells_how_long(tiny_dataset: Dataset, tmp_path: Path) -> None:
    recipe = {"epochs": 3, "learning_rate": 0.02, "batch_size": 4, "averaging": 0, "weights": "scratch"}
    settings = settings_for(tiny_dataset, retrain=recipe, batch_by="sequences")
    validated = tmp_path / "validated"
    done = retrain(architecture_for(tiny_dataset), tiny_dataset, validated, settings=settings)
    epochs = done.metrics["training"]["best_epoch"] + 1
    assert epochs > 0
    served = retrain_on_all_data(validated / "architecture.json", tiny_dataset, tmp_path / "served")
    assert served.metrics["training"]["epochs"] == epochs
    assert served.metrics["test"] == served.metrics["valid"] == served.metrics["valid_selection_users"] == {}
    document = json.loads((tmp_path / "served" / "architecture.json").read_text())
    assert document["dataset"]["split"] == served.metrics["dataset"]["split"] == "none"
    assert not any(name.startswith("retrained") for name in document["metrics"])
    assert not (tmp_path / "served" / "ranks.npz").exists()
    again = retrain_on_all_data(validated / "architecture.json", tiny_dataset, tmp_path / "served")
    assert again.metrics == served.metrics
    with pytest.raises(UserError, match="other settings"):
        retrain_on_all_data(validated / "architecture.json", tiny_dataset, tmp_path / "served", epochs=epochs + 1)
    # It serves, and is not evaluated.
    network, dataset = open_run(tmp_path / "served", tiny_dataset)
    assert dataset is not None
    assert len(recommend_after(network, ["i1", "i2"], 5, True, dataset.item_ids)[0]) == 5
    architecture = Architecture.read(tmp_path / "served" / "architecture.json")
    with pytest.raises(UserError, match="nothing is left to evaluate it by: evaluate the validated run"):
        check_evaluated(architecture, tiny_dataset, tmp_path / "served")


def test_a_beginning_that_was_not_validated_is_refused(tiny_dataset: Dataset, tmp_path: Path) -> None:
    architecture, settings = architecture_for(tiny_dataset), settings_for(tiny_dataset)
    with pytest.raises(UserError, match=r"takes its number of epochs from a validated run.*--epochs N"):
        retrain_on_all_data(architecture, tiny_dataset, tmp_path / "served", settings=settings)
    assert not (tmp_path / "served").exists()
    retrain(architecture, tiny_dataset, tmp_path / "run", settings=settings)
    file, metrics = tmp_path / "run" / "metrics.json", json.loads((tmp_path / "run" / "metrics.json").read_text())
    for changes, message in (
        ({"weights": "inherited"}, "began with --weights SUPERNET"),
        ({"best_epoch": -1}, "no epoch of .* was better"),
        ({"trained_on": "all interactions"}, "was trained on all data itself"),
    ):
        file.write_text(json.dumps({**metrics, "training": {**metrics["training"], **changes}}))
        with pytest.raises(UserError, match=message):
            retrain_on_all_data(tmp_path / "run" / "architecture.json", tiny_dataset, tmp_path / "served")


def test_a_training_that_was_killed_goes_on(
    tiny_dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = settings_for(tiny_dataset, space={**SPACE, "dropout": 0.3})
    architecture = architecture_for(tiny_dataset, space={**SPACE, "dropout": 0.3})
    unbroken = retrain_on_all_data(architecture, tiny_dataset, tmp_path / "one", settings=settings, epochs=3)

    def end(row: dict[str, float]) -> None:
        if row["epoch"] == 1:
            raise OSError("no space left")

    with pytest.raises(OSError, match="no space left"):
        retrain_on_all_data(architecture, tiny_dataset, tmp_path / "two", settings=settings, epochs=3, on_epoch=end)
    assert not (tmp_path / "two" / "metrics.json").exists()
    resumed = retrain_on_all_data(architecture, tiny_dataset, tmp_path / "two", settings=settings, epochs=3)
    weights = [run.network.state_dict() for run in (resumed, unbroken)]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


def test_the_command(tiny_dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("easrec_nni.cli.retrain.begin_training_command", lambda threads: False)
    architecture_for(tiny_dataset).write(tmp_path / "architecture.json")
    command = ["retrain", "--arch", str(tmp_path / "architecture.json"), "--data", str(tiny_dataset.path), "--scratch"]
    shown = CliRunner().invoke(app, [*command, "--all-data", "--epochs", "1", "--out", str(tmp_path / "served")])
    assert shown.exit_code == 0 and "trained on all interactions" in shown.output, shown.output
    for words, message in (
        (["--all-data", "--refit"], "give one of them"),
        (["--validated", "x"], "--validated belongs to --all-data"),
        (["--all-data", "--validated", str(tmp_path / "served")], "was trained on all data itself"),
    ):
        refused = CliRunner().invoke(app, [*command, *words, "--out", str(tmp_path / "other")])
        assert refused.exit_code != 0 and message in refused.output
    assert not (tmp_path / "other").exists()


def test_nothing_selects_where_everything_trains(tiny_dataset: Dataset, tmp_path: Path) -> None:
    dataset = of_split(tiny_dataset, "none", tmp_path)
    with pytest.raises(UserError, match="retrain --all-data"):
        retrain(architecture_for(dataset), dataset, tmp_path / "out", settings=settings_for(dataset))
    with pytest.raises(UserError, match="retrain --all-data"):
        search(dataset, settings_for(dataset), tmp_path / "searched")


def test_two_processes_train_on_all_interactions_together(tiny_dataset: Dataset, tmp_path: Path) -> None:
    settings = settings_for(tiny_dataset, devices=2)
    together = retrain_on_all_data(
        architecture_for(tiny_dataset), tiny_dataset, tmp_path / "two", settings=settings, epochs=2
    )
    alone = retrain_on_all_data(
        architecture_for(tiny_dataset), tiny_dataset, tmp_path / "one", settings=settings_for(tiny_dataset), epochs=2
    )
    for name, weight in alone.network.state_dict().items():
        torch.testing.assert_close(together.network.state_dict()[name], weight, rtol=1e-3, atol=1e-4)
