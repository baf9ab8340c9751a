"""``retrain.averaging``: moving average of the weights, against a plain loop."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn.functional import cross_entropy

from easrec_nni.architecture.document import Architecture
from easrec_nni.architecture.weights import load_network
from easrec_nni.data import Dataset, prepare
from easrec_nni.data.batches.training import TrainingBatches
from easrec_nni.evaluation.scoring import evaluate
from easrec_nni.retraining.stage import retrain
from easrec_nni.settings.trial import TrialSettings
from easrec_nni.training.callbacks import SavePoint
from easrec_nni.training.history import read_history
from easrec_nni.training.trainer import seed_everything
from search_spaces import Choice, EASRecNetwork

SPACE = {"max_length": 8, "hidden": 8, "inner": 16, "heads": 2, "layers": 1, "dropout": 0, "gate_layers": 0}
CHOICE = Choice(hidden_pruning=0, inner_pruning=0, depth=1)
RATE, BATCH, DECAY, EPOCHS = 0.01, 4, 0.5, 6
PLAIN_ADAM = {"beta2": 0.999, "weight_decay": 0.0}


@pytest.fixture(scope="module")
def ordered(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Dataset of users who all cycle through 15 items, so that training improves."""
    folder = tmp_path_factory.mktemp("ordered")
    rows = [f"{user},{(user + time) % 15},{time}" for user in range(24) for time in range(5 + user % 5)]
    (folder / "log.csv").write_text("user,item,time\n" + "\n".join(rows) + "\n")
    return prepare(folder / "log.csv", out=folder / "prepared")


def settings_for(dataset: Dataset, **changes: Any) -> TrialSettings:
    retraining = {
        "epochs": EPOCHS,
        "patience": EPOCHS,
        "learning_rate": RATE,
        "batch_size": BATCH,
        **PLAIN_ADAM,
        **changes,
    }
    return TrialSettings(data=str(dataset.path), space=SPACE, retrain={"averaging": DECAY, **retraining}, seed=2)


def architecture_for(dataset: Dataset) -> Architecture:
    return Architecture(choices=CHOICE, space=settings_for(dataset).space_for(dataset))


def plain_loop(dataset: Dataset, of: Dataset | None = None) -> list[EASRecNetwork]:
    """Reference networks with averaged weights, one per epoch."""
    seed_everything(2)
    config = architecture_for(dataset).space.compact(CHOICE)
    network, averages = EASRecNetwork(config), []
    average = {name: weight.detach().clone() for name, weight in network.named_parameters()}
    adam, step = torch.optim.Adam(network.parameters(), lr=RATE), 0
    batches = TrainingBatches(of or dataset, 8, BATCH, "causal", 2, batch_by="targets")
    for epoch in range(EPOCHS):
        batches.set_epoch(epoch)
        for batch in batches:
            real = batch.targets != 0
            scores = network.states(batch.ids)[real] @ network.embedding.items.weight[1:].T
            adam.zero_grad()
            cross_entropy(scores, batch.targets[real] - 1).backward()
            adam.step()
            step += 1
            decay = min(DECAY, step / (step + 9))
            for name, weight in network.named_parameters():
                average[name] = decay * average[name] + (1 - decay) * weight.detach()
        averages.append(EASRecNetwork(config).eval())
        averages[-1].load_state_dict({**network.state_dict(), **average})
    return averages


def test_every_epoch_judges_the_average_and_trains_on(ordered: Dataset, tmp_path: Path) -> None:
    done = retrain(architecture_for(ordered), ordered, tmp_path, settings=settings_for(ordered))
    averages = plain_loop(ordered)
    rows = read_history(tmp_path / "history.csv", empty="nan")[1:]
    for row, network in zip(rows, averages, strict=True):
        wanted = evaluate(network, ordered, "valid", protocols=["full"])
        assert row["ndcg@10_full"] == pytest.approx(wanted["ndcg@10_full"], abs=1e-9)
    assert done.metrics["training"]["best_epoch"] >= 0
    best = averages[done.metrics["training"]["best_epoch"]]
    for name, weight in best.state_dict().items():
        torch.testing.assert_close(done.network.state_dict()[name], weight, rtol=1e-3, atol=1e-5)


def test_a_refit_keeps_the_average_too(ordered: Dataset, tmp_path: Path) -> None:
    settings = settings_for(ordered, refit=True)
    done = retrain(architecture_for(ordered), ordered, tmp_path, settings=settings)
    averages = plain_loop(ordered, ordered.trained_through("valid"))
    wanted = averages[done.metrics["refit"]["epochs"] - 1].state_dict()
    result = load_network(architecture_for(ordered), tmp_path / "refitted" / "weights.safetensors").state_dict()
    for name, weight in wanted.items():
        torch.testing.assert_close(result[name], weight, rtol=1e-3, atol=1e-5)


def test_a_killed_training_goes_on_with_its_average(
    ordered: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    architecture, settings = architecture_for(ordered), settings_for(ordered)
    unbroken = retrain(architecture, ordered, tmp_path / "unbroken", settings=settings)

    def end(self: SavePoint, trainer: Any, pl_module: Any) -> None:
        if trainer.current_epoch == 1:
            raise OSError("killed")

    with monkeypatch.context() as broken, pytest.raises(OSError, match="killed"):
        broken.setattr(SavePoint, "on_train_epoch_start", end)
        retrain(architecture, ordered, tmp_path / "broken", settings=settings)
    resumed = retrain(architecture, ordered, tmp_path / "broken", settings=settings)
    assert resumed.metrics["test"] == unbroken.metrics["test"]
    for name, weight in unbroken.network.state_dict().items():
        assert torch.equal(resumed.network.state_dict()[name], weight)
