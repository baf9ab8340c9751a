"""Runs in two processes against the same run in one; processes that end early."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch

from easrec_nni import Architecture, Choice, Dataset, TrialSettings, retrain, search
from easrec_nni.architecture.weights import read_weights
from easrec_nni.common.errors import UserError
from easrec_nni.retraining.stage import Retrained
from easrec_nni.searching.front import read_front
from easrec_nni.training.parallel import count

SPACE = {"max_length": 8, "hidden": 8, "inner": 16, "heads": 2, "layers": 2, "hidden_pruning": [0, 0.5]}
SEARCH = {"epochs": 3, "batch_size": 7, "arch_learning_rate": 0.1, "temperature": {"decay": 0.01}, "lambda": 0.5}


def settings_for(dataset: Dataset, devices: int, dropout: float = 0.0, **changes: Any) -> TrialSettings:
    document = {"data": str(dataset.path), "space": {**SPACE, "dropout": dropout}, "devices": devices}
    document |= {"search": SEARCH, "retrain": {"epochs": 3, "batch_size": 7}}
    return TrialSettings.parse({**document, **changes}, "test")


def retrained(dataset: Dataset, settings: TrialSettings, out: Path, on_epoch: Any = None) -> Retrained:
    choice = Choice(hidden_pruning=0.5, inner_pruning=0.5, depth=2)
    architecture = Architecture(choices=choice, space=settings.space_for(dataset))
    return retrain(architecture, dataset, out, settings=settings, on_epoch=on_epoch)


@pytest.mark.slow
def test_a_retraining_in_two_processes_is_the_one_in_one(tiny_dataset: Dataset, tmp_path: Path) -> None:
    """Batches of seven sequences of different lengths, so that shares differ in targets."""
    rows: dict[int, list[dict[str, float]]] = {1: [], 2: []}
    changes = {"loss": "gbce", "negatives": 9, "select_by": "cross_entropy_full"}
    one, two = (
        retrained(tiny_dataset, settings_for(tiny_dataset, n, **changes), tmp_path / str(n), result.append)
        for n, result in rows.items()
    )
    for name, weight in one.network.state_dict().items():
        torch.testing.assert_close(two.network.state_dict()[name], weight, rtol=1e-4, atol=1e-5)
    for expected, result in zip(rows[1], rows[2], strict=True):
        assert result["train_loss"] == pytest.approx(expected["train_loss"], rel=1e-5, nan_ok=expected["epoch"] == -1)
        for name in ("ndcg@10_full", "selection_users_ndcg@10_full"):
            assert result[name] == pytest.approx(expected[name], rel=1e-9)
        assert result["cross_entropy_full"] == pytest.approx(expected["cross_entropy_full"], rel=1e-5)
    assert two.metrics["test"] == pytest.approx(one.metrics["test"])
    assert count() == 1 and torch.get_num_threads() == 1, "nothing is left of the second process"
    assert sorted(path.name for path in (tmp_path / "2").iterdir()) == sorted(
        path.name for path in (tmp_path / "1").iterdir()
    )


@pytest.mark.slow
@pytest.mark.parametrize(("arch_loss", "rtol", "atol"), [("training", 1e-4, 1e-5), ("calibrated", 0.05, 0.1)])
def test_a_search_in_two_processes_is_the_one_in_one(
    arch_loss: str, rtol: float, atol: float, tiny_dataset: Dataset, tmp_path: Path
) -> None:
    """Up to rounding; calibrated only nearly, as each process takes the best scale of its own half of a batch."""
    chosen = {**SEARCH, "epochs": 2, "arch_loss": arch_loss}
    one, two = (search(tiny_dataset, settings_for(tiny_dataset, n, search=chosen), tmp_path / str(n)) for n in (1, 2))
    assert two.architecture.choices == one.architecture.choices
    expected, result = read_weights(one.supernet), read_weights(two.supernet)
    assert any(name.startswith("logits.") and weight.abs().max() > 0.1 for name, weight in expected.items())
    for name, weight in expected.items():
        torch.testing.assert_close(result[name], weight, rtol=rtol, atol=atol)
    for before, after in zip(one.history, two.history, strict=True):
        assert {**after, "seconds": 0} == pytest.approx({**before, "seconds": 0}, rel=rtol, abs=atol)


@pytest.mark.slow
def test_an_elastic_search_in_two_processes_is_the_one_in_one(tiny_dataset: Dataset, tmp_path: Path) -> None:
    """With every sequence for every network; with a smaller share, each process divides its own sequences."""
    options = {"strategy": "elastic", "epochs": 2, "batch_size": 7, "elastic": {"share": 1.0, "averaging": 0.9}}
    space = {**SPACE, "supernet": "shared", "dropout": 0.0}
    one, two = (
        search(tiny_dataset, settings_for(tiny_dataset, n, search=options, space=space), tmp_path / str(n))
        for n in (1, 2)
    )
    assert two.architecture.choices == one.architecture.choices
    result = read_weights(two.supernet)
    for name, weight in read_weights(one.supernet).items():
        torch.testing.assert_close(result[name], weight, rtol=1e-4, atol=1e-5)
    for before, after in zip(one.history, two.history, strict=True):
        assert {**after, "seconds": 0} == pytest.approx({**before, "seconds": 0}, rel=1e-4)
    for before_row, after_row in zip(*(read_front(tmp_path / str(n)).architectures for n in (1, 2)), strict=True):
        assert after_row.metrics == pytest.approx(before_row.metrics, rel=1e-6)


@pytest.mark.slow
def test_a_run_whose_second_process_is_killed_ends_and_goes_on_as_an_unbroken_one(
    tiny_dataset: Dataset, tmp_path: Path
) -> None:
    """With dropout, drawn separately by each process: random states must be restored too."""
    settings = settings_for(tiny_dataset, 2, dropout=0.2)
    unbroken = retrained(tiny_dataset, settings, tmp_path / "unbroken")
    killed_at = []

    def kill(row: dict[str, float]) -> None:
        if row["epoch"] == 1:
            for child in psutil.Process().children():
                if "easrec_nni.retraining.worker" in child.cmdline():
                    child.kill()
                    killed_at.append(time.monotonic())

    with pytest.raises(UserError, match=r"process 2 of 2 ended with exit code -9 .*run the same command again"):
        retrained(tiny_dataset, settings, tmp_path / "broken", kill)
    assert len(killed_at) == 1 and time.monotonic() - killed_at[0] < 60
    assert count() == 1 and not (tmp_path / "broken" / "metrics.json").exists()
    resumed = retrained(tiny_dataset, settings, tmp_path / "broken")
    for name, weight in unbroken.network.state_dict().items():
        torch.testing.assert_close(resumed.network.state_dict()[name], weight, rtol=0, atol=0)
    with pytest.raises(UserError, match=r"other settings \(devices differ\)"):
        retrained(tiny_dataset, settings_for(tiny_dataset, 1, dropout=0.2), tmp_path / "broken")


@pytest.mark.slow
def test_a_process_ends_with_the_one_that_started_it(tmp_path: Path) -> None:
    """A worker exits with the first process even while it waits to join the group."""
    (tmp_path / "job.json").write_text(json.dumps({}), encoding="utf-8")
    command = [sys.executable, "-m", "easrec_nni.searching.worker", str(tmp_path), "1", "2"]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert process.stdin is not None and process.stdout is not None
    with process.stdout, process.stdin:
        assert process.stdout.readline() == b"ready\n"
        assert process.poll() is None
        process.stdin.close()
        assert process.wait(60) == 1


def test_a_search_by_trials_is_not_divided(tiny_dataset: Dataset, tmp_path: Path) -> None:
    settings = settings_for(tiny_dataset, 2, search={**SEARCH, "strategy": "random"})
    with pytest.raises(UserError, match="random searches by trials.*devices: 1"):
        search(tiny_dataset, settings, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_more_devices_than_gpus_are_refused(
    tiny_dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(UserError, match="devices: 2 requested, but this machine has 1 GPUs"):
        retrained(tiny_dataset, settings_for(tiny_dataset, 2), tmp_path)


@pytest.mark.gpu
@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="needs two GPUs")
def test_two_gpus_train_as_one(tiny_dataset: Dataset, tmp_path: Path) -> None:
    one, two = (retrained(tiny_dataset, settings_for(tiny_dataset, n), tmp_path / str(n)) for n in (1, 2))
    for name, weight in one.network.state_dict().items():
        torch.testing.assert_close(two.network.state_dict()[name], weight, rtol=1e-3, atol=1e-4)
