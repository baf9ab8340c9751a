"""Warm-up and decay of the learning rate: every weight of a training against a plain loop with the rates by hand."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn.functional import cross_entropy

from easrec_nni.architecture.document import Architecture
from easrec_nni.architecture.training_settings import RetrainSettings
from easrec_nni.architecture.weights import read_weights
from easrec_nni.data import Dataset, prepare
from easrec_nni.data.batches.training import TrainingBatches
from easrec_nni.retraining.refit import fit_again
from easrec_nni.retraining.stage import retrain
from easrec_nni.settings.trial import TrialSettings
from easrec_nni.training.callbacks import SavePoint
from easrec_nni.training.context import TrialContext
from easrec_nni.training.rate_schedule import rate_factor
from easrec_nni.training.run_folder import RunFolder
from easrec_nni.training.trainer import seed_everything
from search_spaces import Choice, EASRecNetwork

SPACE = {"max_length": 8, "hidden": 8, "inner": 16, "heads": 2, "layers": 1, "dropout": 0, "gate_layers": 0}
CHOICE = Choice(hidden_pruning=0, inner_pruning=0, depth=1)
RATE, BATCH, EPOCHS, WARMUP = 0.02, 8, 4, 1.5


@pytest.fixture(scope="module")
def ordered(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Users who all go round 15 items in one order, so that a training gains."""
    folder = tmp_path_factory.mktemp("ordered")
    rows = [f"{user},{(user + time) % 15},{time}" for user in range(24) for time in range(5 + user % 5)]
    (folder / "log.csv").write_text("user,item,time\n" + "\n".join(rows) + "\n")
    return prepare(folder / "log.csv", out=folder / "prepared")


def settings_for(dataset: Dataset, **changes: Any) -> TrialSettings:
    schedule = {"schedule": "cosine", "warmup_epochs": WARMUP}
    options = {
        "epochs": EPOCHS,
        "patience": EPOCHS,
        "learning_rate": RATE,
        "batch_size": BATCH,
        "averaging": 0,
        **schedule,
    }
    options |= changes
    return TrialSettings(data=str(dataset.path), space=SPACE, batch_by="sequences", retrain=options, seed=2)


def architecture_for(dataset: Dataset) -> Architecture:
    return Architecture(choices=CHOICE, space=settings_for(dataset).space_for(dataset))


def plain_loop(dataset: Dataset, epochs: int, schedule: str = "cosine") -> EASRecNetwork:
    """Network after a number of epochs; the rates are those of a training of ``EPOCHS`` epochs."""
    seed_everything(2)
    network = EASRecNetwork(architecture_for(dataset).space.compact(CHOICE))
    adam = torch.optim.Adam(network.parameters())
    batches = TrainingBatches(dataset, 8, BATCH, "causal", 2)
    step, steps, warmup = 0, EPOCHS * len(batches), WARMUP * len(batches)
    for epoch in range(epochs):
        batches.set_epoch(epoch)
        for batch in batches:
            middle = step + 0.5
            if middle < warmup:
                factor = middle / warmup
            else:
                factor = (
                    (1 + math.cos(math.pi * (middle - warmup) / (steps - warmup))) / 2 if schedule == "cosine" else 1
                )
            adam.param_groups[0]["lr"] = RATE * factor
            real = batch.targets != 0
            scores = network.states(batch.ids)[real] @ network.embedding.items.weight[1:].T
            adam.zero_grad()
            cross_entropy(scores, batch.targets[real] - 1).backward()
            adam.step()
            step += 1
    return network


def assert_same(result: dict[str, torch.Tensor], wanted: EASRecNetwork) -> None:
    for name, weight in wanted.state_dict().items():
        torch.testing.assert_close(result[name], weight, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("schedule", ["cosine", "constant"])
def test_every_step_has_its_rate(ordered: Dataset, tmp_path: Path, schedule: str) -> None:
    done = retrain(architecture_for(ordered), ordered, tmp_path, settings=settings_for(ordered, schedule=schedule))
    best = int(done.metrics["training"]["best_epoch"])
    assert best > WARMUP, "the decay is among the epochs that are compared"
    assert_same(done.network.state_dict(), plain_loop(ordered, best + 1, schedule))


def test_a_refit_repeats_the_rates_of_the_validated_run(ordered: Dataset, tmp_path: Path) -> None:
    seed_everything(2)
    network = EASRecNetwork(architecture_for(ordered).space.compact(CHOICE))
    folder = RunFolder.open(tmp_path, {"run": "refit"})
    fit_again(network, TrialContext.open(settings_for(ordered), ordered), folder, 2, progress=False)
    refitted = read_weights(folder.state / "best.safetensors")
    assert_same(refitted, plain_loop(ordered.trained_through("valid"), 2))


def test_a_run_that_goes_on_has_the_rates_of_one_that_was_never_cut(
    ordered: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Cut(Exception):
        pass

    save = SavePoint.on_train_epoch_end

    def save_and_stop(self: SavePoint, trainer: Any, module: Any) -> None:
        save(self, trainer, module)
        if trainer.current_epoch == 1:
            raise Cut

    with monkeypatch.context() as patched, pytest.raises(Cut):
        patched.setattr(SavePoint, "on_train_epoch_end", save_and_stop)
        retrain(architecture_for(ordered), ordered, tmp_path / "cut", settings=settings_for(ordered))
    retrain(architecture_for(ordered), ordered, tmp_path / "cut", settings=settings_for(ordered))
    retrain(architecture_for(ordered), ordered, tmp_path / "whole", settings=settings_for(ordered))
    wanted = read_weights(tmp_path / "whole" / "weights.safetensors")
    for name, weight in read_weights(tmp_path / "cut" / "weights.safetensors").items():
        assert torch.equal(weight, wanted[name]), name


def test_by_default_the_rate_is_constant() -> None:
    assert {rate_factor(epoch / 7, RetrainSettings()) for epoch in range(70)} == {1.0}


def test_a_warm_up_without_an_epoch_after_it_is_refused() -> None:
    with pytest.raises(ValueError, match="warmup_epochs: 3 leaves none of 3 epochs"):
        RetrainSettings(epochs=3, warmup_epochs=3)
