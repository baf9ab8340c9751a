"""Random states in checkpoints, with CPU generators in place of GPU ones; patience."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from easrec_nni.training import callbacks
from easrec_nni.training.callbacks import BEFORE_TRAINING, EpochRecord, SavePoint

GPU = torch.device("cuda", 0)
CPU = torch.device("cpu")


@pytest.fixture
def gpus(monkeypatch: pytest.MonkeyPatch) -> dict[int, torch.Generator]:
    """Fake generators of two GPUs behind torch's functions for GPU random states."""
    generators = {index: torch.Generator().manual_seed(index) for index in range(2)}
    monkeypatch.setattr(torch.cuda, "get_rng_state", lambda device: generators[device.index].get_state())
    monkeypatch.setattr(torch.cuda, "set_rng_state", lambda state, device: generators[device.index].set_state(state))
    return generators


def network_on(device: torch.device) -> Any:
    return SimpleNamespace(device=device)


def save(folder: Path, device: torch.device) -> dict[str, Any]:
    """Write a checkpoint as at an epoch's end, and read it as a resumed run does."""
    point = SavePoint(folder)
    trainer: Any = SimpleNamespace(save_checkpoint=lambda path: torch.save(point.state_dict(), path))
    point.on_train_epoch_end(trainer, network_on(device))
    state: dict[str, Any] = torch.load(folder / "last.ckpt", weights_only=True)
    return state


def resume(folder: Path, state: dict[str, Any], device: torch.device) -> None:
    point = SavePoint(folder)
    point.load_state_dict(state)
    torch.rand(5)  # what setting a trainer up draws
    point.on_train_epoch_start(SimpleNamespace(), network_on(device))  # type: ignore[arg-type]


def draws(gpus: dict[int, torch.Generator]) -> list[float]:
    return [float(torch.rand(())), *(float(torch.rand((), generator=generator)) for generator in gpus.values())]


def test_a_resumed_run_draws_on_cpu_and_gpu_what_the_unbroken_one_draws(
    gpus: dict[int, torch.Generator], tmp_path: Path
) -> None:
    state = save(tmp_path, GPU)
    unbroken = [draws(gpus) for _ in range(3)]
    torch.manual_seed(99)
    gpus[0].manual_seed(99)
    gpus[1].manual_seed(1)  # of another device, which this run does not use
    resume(tmp_path, state, GPU)
    assert [draws(gpus) for _ in range(3)] == unbroken


def test_every_process_takes_the_generator_of_its_own_gpu_back(
    gpus: dict[int, torch.Generator], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    states = [
        {"cpu": torch.Generator().manual_seed(rank).get_state(), "cuda": gpus[rank].get_state()} for rank in (0, 1)
    ]
    monkeypatch.setattr(callbacks, "all_gather", lambda state: states)
    state = save(tmp_path, GPU)
    assert torch.equal(state["random_states_of_others"][0], states[1]["cpu"])  # what earlier versions read
    unbroken = [float(torch.rand((), generator=gpus[rank])) for rank in (0, 1)]
    for rank in (0, 1):
        monkeypatch.setattr(callbacks, "rank", lambda rank=rank: rank)
        gpus[rank].manual_seed(99)
        resume(tmp_path, state, torch.device("cuda", rank))
        assert float(torch.rand((), generator=gpus[rank])) == unbroken[rank]
        assert torch.equal(torch.get_rng_state(), states[rank]["cpu"])


@pytest.mark.parametrize("device", [GPU, CPU], ids=["gpu", "cpu"])
@pytest.mark.parametrize("others", [0, 1])
def test_checkpoints_of_the_cpu_alone_still_resume(
    gpus: dict[int, torch.Generator], tmp_path: Path, device: torch.device, others: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(callbacks, "rank", lambda: others)
    states = [torch.Generator().manual_seed(seed).get_state() for seed in (5, 6)]
    written: dict[str, Any] = {"random_state": states[0]}  # as version 0.1 wrote it
    if others:
        written["random_states_of_others"] = states[1:]
    before = gpus[0].get_state()
    resume(tmp_path, written, device)
    assert torch.equal(torch.get_rng_state(), states[others])
    assert torch.equal(gpus[0].get_state(), before)


def test_a_run_of_a_gpu_resumes_on_a_cpu(gpus: dict[int, torch.Generator], tmp_path: Path) -> None:
    state = save(tmp_path, GPU)
    unbroken = float(torch.rand(()))
    before = gpus[0].manual_seed(99).get_state()
    resume(tmp_path, state, CPU)
    assert float(torch.rand(())) == unbroken
    assert torch.equal(gpus[0].get_state(), before)


def test_a_run_on_the_cpu_writes_what_earlier_versions_wrote(tmp_path: Path) -> None:
    assert save(tmp_path, CPU).keys() == {"random_state"}


@pytest.mark.parametrize(
    ("scores", "ended"),
    [
        ([0.08], False),
        ([0.08, 0.05, 0.06, 0.07], False),  # trained epochs rise, though below the initial network
        ([0.08, 0.05, 0.06, 0.07, 0.07, 0.06], True),
        ([0.08, 0.07, 0.06, 0.05], True),
        ([0.02, 0.07, 0.06, 0.09], False),
    ],
)
def test_patience_counts_from_the_best_trained_epoch(scores: list[float], ended: bool, tmp_path: Path) -> None:
    record = EpochRecord(tmp_path, "ndcg@10_full", 2, weights=dict)
    for epoch, score in enumerate(scores, start=BEFORE_TRAINING):
        record.history.append({"epoch": epoch, "ndcg@10_full": score})
        record.keep_best(record.history[-1])
    assert record.out_of_patience == ended
    assert record.best_epoch == scores.index(max(scores)) - 1, "the initial network competes"
