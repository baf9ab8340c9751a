from __future__ import annotations

import copy
import logging
from pathlib import Path

import pytest
import torch
from torch import Tensor

import easrec_nni.training.micro_batch_size as micro_batch_size
from easrec_nni import Architecture, Choice, Dataset, TrialSettings, retrain, search
from easrec_nni.common.errors import UserError
from easrec_nni.data.batches.training import TrainingBatch
from easrec_nni.training.losses import next_item_loss
from easrec_nni.training.micro_batch_size import MicroBatchSize, seconds_by_positions
from easrec_nni.training.micro_batches import loss_in_parts, parts_of
from search_spaces import EASRecSpace, SpaceConfig

SPACE = SpaceConfig(n_items=30, max_length=8, hidden=8, inner=16, heads=2, layers=2, dropout=0.3).compact(
    {"hidden_pruning": 0.0, "inner_pruning": 0.0, "depth": 2}
)


def batch_of(rows: int = 9) -> TrainingBatch:
    random = torch.Generator().manual_seed(rows)
    return TrainingBatch(*torch.randint(1, 31, (2, rows, 8), generator=random))


@pytest.fixture(autouse=True)
def small_rule(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shrink the rule's size to two sequences of eight positions."""
    monkeypatch.setattr(micro_batch_size, "CACHED_VALUES", 16 * 16)


def test_measuring_tries_sizes_around_the_rule_and_leaves_everything_as_it_was() -> None:
    network, batch = EASRecSpace(SPACE).train(), batch_of()
    before, state = copy.deepcopy(network.state_dict()), torch.get_rng_state()
    seconds = seconds_by_positions(lambda part: next_item_loss(network, part), batch, 16, repeats=1)
    assert list(seconds) == [4, 8, 16, 32, 64, 72], (
        "the largest is the whole batch, which is below eight times the rule"
    )
    assert all(0 < value < float("inf") for value in seconds.values())
    assert all(weight.grad is None for weight in network.parameters())
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())


def test_no_size_is_far_beyond_the_rule() -> None:
    network = EASRecSpace(SPACE)
    seconds = seconds_by_positions(lambda part: next_item_loss(network, part), batch_of(40), 16, repeats=1)
    assert max(seconds) == 8 * 16


def test_the_fastest_size_is_taken_and_measured_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    calls = []

    def pretended(*arguments: object) -> dict[int, float]:
        calls.append(arguments)
        return {8: 0.3, 16: 0.1, 32: 0.2}

    monkeypatch.setattr(micro_batch_size, "seconds_by_positions", pretended)
    caplog.set_level(logging.INFO)
    size = MicroBatchSize("measured")
    assert size.as_dict() == {"wanted": "measured"}
    assert [size.positions(lambda part: torch.zeros(()), batch_of(), 16) for _ in range(3)] == [16, 16, 16]
    assert len(calls) == 1
    assert "16 positions are the fastest" in caplog.text
    assert size.as_dict() == {
        "wanted": "measured",
        "positions": 16,
        "seconds_by_positions": {"8": 0.3, "16": 0.1, "32": 0.2},
    }


def test_nothing_is_measured_on_a_batch_that_the_rule_leaves_whole() -> None:
    size = MicroBatchSize("measured")

    def never(part: TrainingBatch) -> Tensor:
        raise AssertionError("measured")

    assert size.positions(never, batch_of(2), 16) is None
    assert size.seconds is None


def test_the_rule_and_a_number_measure_nothing() -> None:
    batch = batch_of()
    assert MicroBatchSize().positions(lambda part: torch.zeros(()), batch, 16) is None
    assert MicroBatchSize(24).positions(lambda part: torch.zeros(()), batch, 16) == 24


@pytest.mark.parametrize("positions", [8, 24, 72, 1000])
def test_gradients_do_not_depend_on_the_size(positions: int) -> None:
    network, batch = EASRecSpace(SPACE.model_copy(update={"dropout": 0.0})).double(), batch_of()
    result = []
    for parts in (parts_of(batch, 16, 10_000), parts_of(batch, 16, positions)):
        network.zero_grad()
        loss_in_parts(lambda part: next_item_loss(network, part), parts).backward()
        result.append([weight.grad.clone() for weight in network.parameters() if weight.grad is not None])
    assert result[0]
    for whole, in_parts in zip(*result, strict=True):
        torch.testing.assert_close(in_parts, whole)


SMALL = {
    "max_length": 8,
    "hidden": 8,
    "inner": 16,
    "heads": 2,
    "layers": 2,
    "dropout": 0.0,
    "hidden_pruning": [0, 0.5],
}
CHOICE = Choice(hidden_pruning=0, inner_pruning=0, depth=2)


def settings_for(dataset: Dataset, micro_batch: object) -> TrialSettings:
    document = {"data": str(dataset.path), "space": SMALL, "micro_batch": micro_batch, "search": {"epochs": 1}}
    document["retrain"] = {"epochs": 2, "batch_size": 8}
    return TrialSettings.parse(document, "test")


@pytest.mark.parametrize("wanted", [16, "measured"])
def test_a_retraining_says_which_size_it_took_and_learns_the_same(
    tiny_dataset: Dataset, tmp_path: Path, wanted: object
) -> None:
    losses, result = {}, {}
    for micro_batch in ("rule", wanted):
        rows: list[dict[str, float]] = []
        settings = settings_for(tiny_dataset, micro_batch)
        architecture = Architecture(choices=CHOICE, space=settings.space_for(tiny_dataset))
        folder = tmp_path / str(micro_batch)
        trained = retrain(architecture, tiny_dataset, folder, settings=settings, on_epoch=rows.append)
        losses[micro_batch] = [row["train_loss"] for row in rows[1:]]  # there is none before the training
        result[micro_batch] = trained.metrics["training"]["micro_batch"]
    assert losses[wanted] == pytest.approx(losses["rule"], rel=1e-4)
    assert result["rule"] == {"wanted": "rule"}
    assert result[wanted]["wanted"] == wanted
    if wanted == "measured":
        assert str(result[wanted]["positions"]) in result[wanted]["seconds_by_positions"]


def test_a_search_with_measured_micro_batches_is_another_run(tiny_dataset: Dataset, tmp_path: Path) -> None:
    result = search(tiny_dataset, settings_for(tiny_dataset, "measured"), tmp_path)
    assert result.history[0]["train_loss"] > 0
    with pytest.raises(UserError, match=r"other settings \(micro_batch differ\)"):
        search(tiny_dataset, settings_for(tiny_dataset, "rule"), tmp_path)


@pytest.mark.parametrize("wrong", [0, -3, 1.5, "fast"])
def test_what_is_no_size_is_refused(tiny_dataset: Dataset, wrong: object) -> None:
    with pytest.raises(UserError, match="micro_batch"):
        settings_for(tiny_dataset, wrong)
