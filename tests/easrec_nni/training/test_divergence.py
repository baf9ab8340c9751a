"""Diverging trainings: one-line error, earlier epochs kept, the diverged one not."""

from __future__ import annotations

import csv
import math
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

from easrec_nni import Architecture, Choice, Dataset, TrialSettings, retrain, search
from easrec_nni.architecture.weights import read_weights
from easrec_nni.cli.main import app
from easrec_nni.common.errors import DivergedError, UserError
from easrec_nni.training.divergence import EndIfDiverged
from easrec_nni.training.module import SequenceModule

SPACE = {"max_length": 8, "hidden": 8, "inner": 16, "heads": 2, "layers": 2, "supernet": "shared"}
STRATEGIES = ("easrec", "darts", "gumbeldarts", "proxylessnas", "recnas")
HUGE = 1e20  # a step of this length makes weights whose products are infinite


def settings_for(dataset: Dataset, **changes: Any) -> TrialSettings:
    document = {"data": str(dataset.path), "space": SPACE, "search": {"epochs": 4, "batch_size": 8}}
    document["retrain"] = {"epochs": 5, "batch_size": 8}
    return TrialSettings.parse({**document, **changes}, "test")


def architecture_for(settings: TrialSettings, dataset: Dataset) -> Architecture:
    return Architecture(
        choices=Choice(hidden_pruning=0.5, inner_pruning=0.5, depth=2), space=settings.space_for(dataset)
    )


def rows_of(folder: Path) -> list[dict[str, str]]:
    file = folder / "state" / "history.csv"
    return list(csv.DictReader(file.open(newline=""))) if file.is_file() else []


def poison(monkeypatch: pytest.MonkeyPatch, epoch: int, kind: str) -> None:
    """Make the loss or the weights infinite at the last iteration of an epoch."""
    step = SequenceModule.training_step

    def poisoned(self: SequenceModule, batch: Any, batch_idx: int) -> torch.Tensor:
        loss = step(self, batch, batch_idx)
        if self.trainer.current_epoch == epoch and batch_idx == self.trainer.num_training_batches - 1:
            if kind == "loss":
                return loss * math.nan
            # A finite loss with gradients that are not: sqrt has an infinite slope at 0.
            weight = self.model.embedding.items.weight
            return loss + (weight - weight.detach()).sum().abs().sqrt() * 1.0
        return loss

    monkeypatch.setattr(SequenceModule, "training_step", poisoned)


@pytest.mark.parametrize("kind", ["loss", "step"])
def test_a_retraining_keeps_the_last_good_epoch(
    kind: str, tiny_dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = settings_for(tiny_dataset)
    architecture = architecture_for(settings, tiny_dataset)
    whole = retrain(architecture, tiny_dataset, tmp_path / "whole", settings=settings)
    with monkeypatch.context() as patch:
        poison(patch, 2, kind)
        for _ in range(2):  # run again, it ends in the same way
            with pytest.raises(DivergedError) as error:
                retrain(architecture, tiny_dataset, tmp_path / "run", settings=settings)
            where = r"from iteration \d on" if kind == "loss" else "after its last iteration"
            assert re.search(f"in epoch 2 {where}, with retrain.learning_rate: 0.001", error.value.message)
    assert not (tmp_path / "run" / "metrics.json").exists()
    first, *rows = rows_of(tmp_path / "run")
    assert first["epoch"] == "-1" and first.pop("train_loss") == "nan"  # judged before any training
    assert [row["epoch"] for row in rows] == ["0", "1"]
    assert all(math.isfinite(float(value)) for row in (first, *rows) for value in row.values())
    state = torch.load(tmp_path / "run" / "state" / "last.ckpt", weights_only=True)
    assert all(weight.isfinite().all() for weight in state["state_dict"].values())
    best = read_weights(tmp_path / "run" / "state" / "best.safetensors")
    assert all(weight.isfinite().all() for weight in best.values())
    resumed = retrain(architecture, tiny_dataset, tmp_path / "run", settings=settings)  # as if it had not been
    for name, weight in whole.network.state_dict().items():
        torch.testing.assert_close(resumed.network.state_dict()[name], weight, rtol=0, atol=0)


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("side", ["weights", "architecture"])
def test_every_search_ends_in_one_line(
    strategy: str, side: str, tiny_dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Divergence of the weights by a huge rate, or of alpha and beta by non-finite steps."""
    chosen: dict[str, Any] = {"epochs": 4, "warmup_epochs": 0, "batch_size": 8, "strategy": strategy}
    chosen["arch_learning_rate"] = 0.001
    if side == "weights":
        chosen["learning_rate"] = HUGE
    else:
        loss = SequenceModule.in_micro_batches

        def poisoned(self: SequenceModule, loss_of: Any, batch: Any) -> torch.Tensor:
            is_architecture_step = not self.model.embedding.items.weight.requires_grad
            poison = is_architecture_step and self.trainer.current_epoch == 1
            return loss(self, loss_of, batch) * (math.nan if poison else 1.0)

        monkeypatch.setattr(SequenceModule, "in_micro_batches", poisoned)
    with pytest.raises(DivergedError) as error:
        search(tiny_dataset, settings_for(tiny_dataset, search=chosen), tmp_path / "run")
    epoch = 0 if side == "weights" else 1
    rates = re.escape(f"search.learning_rate: {chosen.get('learning_rate', 0.001):g}, alpha and beta: 0.001")
    assert re.search(f"not finite in epoch {epoch} .*, with {rates}", error.value.message)
    rows = rows_of(tmp_path / "run")
    assert len(rows) == epoch
    assert all(math.isfinite(float(value)) for row in rows for value in row.values())
    assert not (tmp_path / "run" / "architecture.json").exists()


def test_a_search_by_trials_names_the_candidate_and_keeps_those_before(
    tiny_dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = {"epochs": 6, "batch_size": 8, "strategy": "random", "candidate_epochs": 2}
    settings = settings_for(tiny_dataset, search=chosen)
    rows: list[dict[str, float]] = []

    def poison_third(row: dict[str, float]) -> None:
        rows.append(row)
        if len(rows) == 2:
            poison(monkeypatch, 0, "loss")

    with pytest.raises(
        DivergedError, match=r"^candidate 2 \(hidden.*, depth .\): .*epoch 0 from iteration \d on"
    ) as error:
        search(tiny_dataset, settings, tmp_path, on_epoch=poison_third)
    assert "search.learning_rate: 0.001" in error.value.message
    assert [row["epoch"] for row in rows_of(tmp_path)] == ["0", "1"]
    assert (tmp_path / "state" / "best.safetensors").is_file()


@pytest.mark.parametrize("strategy", ["easrec", "random"])
def test_commands_end_with_exit_code_2_and_one_line(
    strategy: str, tiny_dataset: Dataset, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "settings.yml"
    file.write_text(
        f"data: {tiny_dataset.path}\nspace: {{max_length: 8, hidden: 8, inner: 16, heads: 2, layers: 2}}\n"
        f"search: {{epochs: 2, learning_rate: {HUGE:.1f}, strategy: {strategy}}}\n"
    )
    words = ["search", str(file), "--out", str(tmp_path / "run"), "--threads", "1"]
    with pytest.raises(SystemExit) as end:
        app(words)
    assert end.value.code == 2
    printed = capfd.readouterr()
    assert printed.err.startswith("easrec: error: ") and "the training diverged" in printed.err
    assert printed.err.count("\n") == 1 and "failed" not in printed.out


@pytest.mark.slow
def test_an_nni_trial_ends_with_the_line_as_its_reason(tiny_dataset: Dataset, tmp_path: Path) -> None:
    file = tmp_path / "settings.yml"
    file.write_text(
        f"data: {tiny_dataset.path}\nspace: {{max_length: 8, hidden: 8, inner: 16, heads: 2, layers: 2}}\n"
        f"search: {{epochs: 1}}\nretrain: {{epochs: 2, learning_rate: {HUGE:.1f}}}\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "easrec_nni.trial", "--settings", str(file)],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        timeout=120,
    )
    assert done.returncode == 2
    lines = done.stderr.strip().splitlines()
    assert lines[-1].startswith("error: the training diverged") and "retrain.learning_rate: 1e+20" in lines[-1]
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_two_processes_end_together(tiny_dataset: Dataset, tmp_path: Path) -> None:
    chosen = {"epochs": 2, "batch_size": 8, "learning_rate": HUGE}
    with pytest.raises(DivergedError, match=r"not finite in epoch 0 .*search\.learning_rate: 1e\+20"):
        search(tiny_dataset, settings_for(tiny_dataset, search=chosen, devices=2), tmp_path / "run")
    assert not rows_of(tmp_path / "run")


def test_weights_that_are_finite_and_too_large_to_score_with(
    tiny_dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One iteration per epoch: loss and weights are finite, but the validation scores are not."""
    settings = settings_for(tiny_dataset, retrain={"epochs": 2, "batch_size": 1000, "learning_rate": HUGE})
    with pytest.raises(DivergedError, match="in epoch 0 after its last iteration"):
        retrain(architecture_for(settings, tiny_dataset), tiny_dataset, tmp_path, settings=settings)
    assert [row["epoch"] for row in rows_of(tmp_path)] == ["-1"] and not (tmp_path / "state" / "last.ckpt").exists()


def test_weights_that_are_not_finite_at_the_start(tiny_dataset: Dataset, tmp_path: Path) -> None:
    from safetensors.torch import save_file

    settings = settings_for(tiny_dataset)
    architecture = architecture_for(settings, tiny_dataset)
    trained = retrain(architecture, tiny_dataset, tmp_path / "first", settings=settings)
    weights = trained.network.state_dict()
    weights["embedding.items.weight"][3] = math.nan
    save_file(weights, tmp_path / "bad.safetensors")
    with pytest.raises(DivergedError, match=r"not finite before the first step: .*--scratch"):
        retrain(architecture, tiny_dataset, tmp_path / "run", weights=tmp_path / "bad.safetensors", settings=settings)


def test_other_errors_stay_what_they_are() -> None:
    guard, trainer = EndIfDiverged({"rate": 1.0}), SimpleNamespace(current_epoch=3, precision="32-true")
    network = nn.Linear(2, 2)
    guard.on_exception(trainer, network, RuntimeError("out of memory"))  # type: ignore[arg-type]
    with torch.no_grad():
        network.weight[0, 0] = math.inf
    guard.on_exception(trainer, network, KeyboardInterrupt())  # type: ignore[arg-type]
    guard.on_exception(trainer, network, UserError("a disk is full"))  # type: ignore[arg-type]
    with pytest.raises(DivergedError, match="epoch 3"):
        guard.on_exception(trainer, network, RuntimeError("probability tensor contains nan"))  # type: ignore[arg-type]


def test_low_precision_is_named(tiny_dataset: Dataset) -> None:
    trainer: Any = SimpleNamespace(current_epoch=1, precision="bf16-mixed")
    guard, network = EndIfDiverged({"retrain.learning_rate": 0.5}), nn.Linear(1, 1)
    guard.on_train_epoch_start(trainer, network)  # type: ignore[arg-type]
    for batch, loss in enumerate([1.0, math.inf, 2.0]):
        guard.on_train_batch_end(trainer, network, {"loss": torch.tensor(loss)}, None, batch)
    with pytest.raises(DivergedError, match="from iteration 1 on, with retrain.learning_rate: 0.5.*precision: float32"):
        guard.on_validation_start(trainer, network)  # type: ignore[arg-type]
