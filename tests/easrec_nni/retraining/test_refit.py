"""A refit: as many epochs as were best, on training and validation interactions together."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy
from typer.testing import CliRunner

from easrec_nni.architecture.document import Architecture
from easrec_nni.architecture.weights import load_network
from easrec_nni.cli.main import app
from easrec_nni.data import Dataset, prepare
from easrec_nni.data.batches.training import TrainingBatches
from easrec_nni.evaluation.scoring import evaluate
from easrec_nni.retraining import steps
from easrec_nni.retraining.stage import retrain
from easrec_nni.settings.trial import TrialSettings
from easrec_nni.training.trainer import seed_everything
from easrec_nni.trial.run import run_trial
from search_spaces import Choice, EASRecNetwork

SPACE = {"max_length": 8, "hidden": 8, "inner": 16, "heads": 2, "layers": 1, "dropout": 0, "gate_layers": 0}
CHOICE = Choice(hidden_pruning=0, inner_pruning=0, depth=1)
RATE, BATCH = 0.005, 4


def settings_for(dataset: Dataset, refit: bool = True, **changes: Any) -> TrialSettings:
    document = {
        "data": str(dataset.path),
        "space": SPACE,
        "search": {"epochs": 1},
        "retrain": {
            "epochs": 3,
            "learning_rate": RATE,
            "beta2": 0.999,
            "weight_decay": 0.0,
            "batch_size": BATCH,
            "averaging": 0,
            "weights": "scratch",
            "refit": refit,
        },
        "seed": 3,
    }
    return TrialSettings.parse({**document, **changes}, "test")


def architecture_for(dataset: Dataset) -> Architecture:
    return Architecture(choices=CHOICE, space=settings_for(dataset).space_for(dataset))


def test_what_a_refit_trains_on(tiny_dataset: Dataset) -> None:
    """Every target of every epoch: all interactions of a user but the first and the test target."""
    wanted = []
    for user in range(tiny_dataset.n_users):
        items = tiny_dataset.items[tiny_dataset.offsets[user] : tiny_dataset.offsets[user + 1]].tolist()
        wanted += items[1:-1] if len(items) >= 3 else items[1:]
    batches = TrainingBatches(tiny_dataset.trained_through("valid"), 8, BATCH, "causal", 0)
    found = [item for batch in batches for item in batch.targets.flatten().tolist() if item]
    assert sorted(found) == sorted(wanted)
    before = sum(int((batch.targets != 0).sum()) for batch in TrainingBatches(tiny_dataset, 8, BATCH, "causal", 0))
    assert len(found) - before == len(tiny_dataset.split.test.users)


def test_a_refit_is_a_plain_loop_of_as_many_epochs(tiny_dataset: Dataset, tmp_path: Path) -> None:
    done = retrain(architecture_for(tiny_dataset), tiny_dataset, tmp_path, settings=settings_for(tiny_dataset))
    epochs = done.metrics["training"]["best_epoch"] + 1
    assert done.metrics["refit"]["epochs"] == epochs > 0
    seed_everything(3)
    network = EASRecNetwork(architecture_for(tiny_dataset).space.compact(CHOICE))
    adam = torch.optim.Adam(network.parameters(), lr=RATE)
    batches = TrainingBatches(tiny_dataset.trained_through("valid"), 8, BATCH, "causal", 3, batch_by="targets")
    for epoch in range(epochs):
        batches.set_epoch(epoch)
        for batch in batches:
            real = batch.targets != 0
            scores = network.states(batch.ids)[real] @ network.embedding.items.weight[1:].T
            adam.zero_grad()
            cross_entropy(scores, batch.targets[real] - 1).backward()
            adam.step()
    written = load_network(
        Architecture.read(tmp_path / "refitted" / "architecture.json"), tmp_path / "refitted" / "weights.safetensors"
    )
    for name, weight in network.state_dict().items():
        torch.testing.assert_close(written.state_dict()[name], weight, rtol=1e-4, atol=1e-5)
    figures = evaluate(network.eval(), tiny_dataset, protocols=["full", "unseen"])
    assert done.metrics["test_refitted"]["ndcg@10_unseen_refitted"] == pytest.approx(
        figures["ndcg@10_unseen"], abs=1e-9
    )
    assert all(name.endswith("_refitted") for name in done.metrics["test_refitted"])
    with np.load(tmp_path / "refitted" / "ranks.npz") as ranks:
        assert all(name.startswith("test_") and name.endswith("_refitted") for name in ranks)


def test_a_complete_run_is_refitted_without_training_it_again(tiny_dataset: Dataset, tmp_path: Path) -> None:
    architecture = architecture_for(tiny_dataset)
    both = retrain(architecture, tiny_dataset, tmp_path / "both", settings=settings_for(tiny_dataset))
    first = retrain(architecture, tiny_dataset, tmp_path / "later", settings=settings_for(tiny_dataset, refit=False))
    assert "test_refitted" not in first.metrics
    assert not (tmp_path / "later" / "refitted").exists()
    stamp = (tmp_path / "later" / "weights.safetensors").stat().st_mtime_ns
    later = retrain(architecture, tiny_dataset, tmp_path / "later", settings=settings_for(tiny_dataset))
    assert (tmp_path / "later" / "weights.safetensors").stat().st_mtime_ns == stamp
    assert later.metrics["test_refitted"] == both.metrics["test_refitted"]
    assert later.metrics["test"] == first.metrics["test"] == both.metrics["test"]


def test_a_refit_that_was_killed_goes_on(
    tiny_dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    document = {**SPACE, "dropout": 0.3}
    settings = settings_for(tiny_dataset, space=document, batch_by="sequences")
    architecture = Architecture(choices=CHOICE, space=settings.space_for(tiny_dataset))
    unbroken = retrain(architecture, tiny_dataset, tmp_path / "unbroken", settings=settings)
    assert unbroken.metrics["refit"]["epochs"] > 1
    whole = steps.fit_again

    def broken(*arguments: Any, **options: Any) -> Any:
        def end(row: dict[str, float]) -> None:
            if row["epoch"] == 1:
                raise OSError("no space left")

        return whole(*arguments, **options, on_epoch=end)

    monkeypatch.setattr(steps, "fit_again", broken)
    with pytest.raises(OSError, match="no space left"):
        retrain(architecture, tiny_dataset, tmp_path / "broken", settings=settings)
    monkeypatch.setattr(steps, "fit_again", whole)
    assert not (tmp_path / "broken" / "refitted" / "metrics.json").exists()
    resumed = retrain(architecture, tiny_dataset, tmp_path / "broken", settings=settings)
    assert resumed.metrics["test_refitted"] == unbroken.metrics["test_refitted"]
    weights = [
        load_network(architecture, run.folder / "refitted" / "weights.safetensors").state_dict()
        for run in (resumed, unbroken)
    ]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


def test_a_trial_reports_the_refitted_figures_under_their_own_names(tiny_dataset: Dataset, tmp_path: Path) -> None:
    result = run_trial(settings_for(tiny_dataset), tmp_path)
    figures = {name for name in result.report if name.endswith("_refitted")}
    assert {"test_ndcg@10_full_refitted", "test_recall@10_unseen_refitted"} <= figures
    assert all(name.startswith("test_") for name in figures)
    assert result.report["default"] == result.report["valid_selection_ndcg@10_full"]


def test_evaluate_keeps_a_refitted_networks_figures_apart(tiny_dataset: Dataset, tmp_path: Path) -> None:
    done = retrain(architecture_for(tiny_dataset), tiny_dataset, tmp_path, settings=settings_for(tiny_dataset))
    command = ["evaluate", str(tmp_path / "refitted"), "--data", str(tiny_dataset.path), "--threads", "1"]
    shown = CliRunner().invoke(app, [*command, "--out", str(tmp_path / "figures.json")])
    assert shown.exit_code == 0, shown.output
    assert "ndcg@10_unseen_refitted" in (tmp_path / "figures.json").read_text()
    assert done.metrics["test_refitted"].keys() >= {"ndcg@10_full_refitted"}
    refused = CliRunner().invoke(app, [*command, "--part", "valid"])
    assert refused.exit_code != 0


@pytest.mark.slow
def test_a_refit_in_two_processes_is_the_one_in_one(tmp_path: Path) -> None:
    rows = [f"{user},{(user + time) % 15},{time}" for user in range(24) for time in range(5 + user % 5)]
    (tmp_path / "log.csv").write_text("user,item,time\n" + "\n".join(rows) + "\n")
    dataset = prepare(tmp_path / "log.csv", out=tmp_path / "prepared")
    done = []
    for devices in (1, 2):
        settings = settings_for(dataset, devices=devices, batch_by="targets").with_parameters(
            {"retrain.averaging": 0.5}
        )
        done.append(retrain(architecture_for(dataset), dataset, tmp_path / str(devices), settings=settings))
    assert done[0].metrics["refit"]["epochs"] == done[1].metrics["refit"]["epochs"] > 0
    assert done[1].metrics["test_refitted"] == pytest.approx(done[0].metrics["test_refitted"])
    one, two = (
        load_network(architecture_for(dataset), run.folder / "refitted" / "weights.safetensors").state_dict()
        for run in done
    )
    for name, weight in one.items():
        torch.testing.assert_close(two[name], weight, rtol=1e-4, atol=1e-5)
