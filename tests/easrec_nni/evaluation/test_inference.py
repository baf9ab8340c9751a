"""Inference timer: what it times, and on which users."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from easrec_nni.data import Dataset
from easrec_nni.evaluation import inference as inference_module
from easrec_nni.evaluation.inference import ScoringTimer, measure_inference
from search_spaces import EASRecSpace, SpaceConfig


def network_for(dataset: Dataset) -> EASRecSpace:
    config = SpaceConfig(n_items=dataset.n_items, max_length=6, hidden=8, inner=16, heads=2, layers=2)
    return EASRecSpace(config).freeze(config.largest)


class Watched(nn.Module):
    """Network that records its inputs and mode."""

    max_length = 5

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[Tensor] = []
        self.modes: set[tuple[bool, bool]] = set()

    def forward(self, ids: Tensor) -> Tensor:
        self.calls.append(ids)
        self.modes.add((self.training, torch.is_grad_enabled()))
        return torch.zeros(len(ids), 31)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Fake clock readings, in order."""
    readings: list[float] = []
    monkeypatch.setattr(inference_module.time, "perf_counter", lambda: readings.pop(0))
    return readings


def newest(dataset: Dataset, row: int, length: int) -> list[int]:
    """Newest items of a test user's history, up to the network's context length."""
    user = dataset.split.test.users[row]
    history: list[int] = dataset.items[dataset.offsets[user] : dataset.split.test.places[row]].tolist()
    return history[-length:]


def test_a_pass_scores_every_test_user_once_without_training(
    tiny_dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inference_module, "evaluation_batch_size", lambda n_items: 16)
    network = Watched().train()
    timer = ScoringTimer(tiny_dataset, 5)
    assert timer.pass_seconds(network) > 0
    assert (timer.users, timer.batch_size) == (40, 16)
    assert [len(ids) for ids in network.calls] == [16, 16, 8]
    seen = sorted([item for item in row if item] for ids in network.calls for row in ids.tolist())
    assert seen == sorted(newest(tiny_dataset, row, 5) for row in range(40))
    assert network.modes == {(False, False)}


@pytest.mark.parametrize("singles", [1, 7, 40, 1000])
def test_single_users_come_without_padding_and_from_short_and_long_histories(
    tiny_dataset: Dataset, singles: int
) -> None:
    network = Watched()
    latencies = ScoringTimer(tiny_dataset, 100, single_users=singles).latencies_ms(network)
    assert len(latencies) == len(network.calls) == min(singles, 40) and min(latencies) > 0
    asked = [ids[0].tolist() for ids in network.calls]
    everyone = [newest(tiny_dataset, row, 100) for row in range(40)]
    assert all(len(ids) == 1 for ids in network.calls) and all(0 not in row and row in everyone for row in asked)
    lengths = sorted(map(len, everyone))
    if singles >= 7:
        assert {min(map(len, asked)), max(map(len, asked))} == {lengths[0], lengths[-1]}
        assert abs(np.median([len(row) for row in asked]) - np.median(lengths)) <= 1
    if singles >= 40:
        assert sorted(asked) == sorted(everyone)


def test_seconds_and_milliseconds(tiny_dataset: Dataset, clock: list[float]) -> None:
    timer = ScoringTimer(tiny_dataset, 5, single_users=2)
    clock += [10.0, 12.5, 20.0, 20.25, 30.0, 30.5]
    assert timer.pass_seconds(Watched()) == 2.5
    assert timer.latencies_ms(Watched()) == [250.0, 500.0]


@pytest.mark.parametrize("repeats", [1, 4])
def test_inference_time_is_positive_and_ordered(tiny_dataset: Dataset, repeats: int) -> None:
    network = network_for(tiny_dataset).train()
    figures = measure_inference(network, tiny_dataset, repeats=repeats)
    assert set(figures) == {"inference_ms_per_user", "inference_ms_per_user_min", "inference_ms_per_user_max"}
    assert all(np.isfinite(value) and value > 0 for value in figures.values())
    low, middle, high = (figures[f"inference_ms_per_user{name}"] for name in ("_min", "", "_max"))
    assert low <= middle <= high
    assert network.training


def test_inference_time_is_that_of_one_user_after_a_warm_up(tiny_dataset: Dataset, clock: list[float]) -> None:
    clock += [0.0, 100.0, 100.0, 101.0, 200.0, 203.0, 300.0, 302.0]  # a warm-up of 100 seconds, then 1, 3 and 2
    expected: dict[str, Any] = {"": 2000 / 40, "_min": 1000 / 40, "_max": 3000 / 40}
    figures = measure_inference(Watched(), tiny_dataset, repeats=3)
    assert figures == pytest.approx({f"inference_ms_per_user{name}": value for name, value in expected.items()})
    assert not clock
