"""Epochs run one by one equal the epochs of a whole training."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
import torch

from easrec_nni.bench.epochs import Training, search_epoch
from easrec_nni.bench.measurement import Bench, BenchRequest
from easrec_nni.bench.measurements import ALL
from easrec_nni.data import Dataset, prepare
from easrec_nni.data import sources as sources_module
from easrec_nni.data.batches.training import TrainingBatches
from easrec_nni.data.sources.synthetic import SyntheticSource
from easrec_nni.settings.trial import TrialSettings
from easrec_nni.training.callbacks import EpochOrder
from easrec_nni.training.context import TrialContext
from easrec_nni.training.module import SequenceModule
from easrec_nni.training.trainer import make_trainer, seed_everything
from search_spaces import EASRecSpace, SpaceConfig

SPACE = {"max_length": 6, "hidden": 8, "inner": 8, "heads": 2, "layers": 1, "dropout": 0.0}
SETTINGS = TrialSettings(data="tiny", space=SPACE, search={"batch_size": 8}, retrain={"batch_size": 8})


def context(dataset: Dataset) -> TrialContext:
    return TrialContext.open(SETTINGS, dataset)


def network(dataset: Dataset) -> EASRecSpace:
    seed_everything(0)
    config = SpaceConfig(n_items=dataset.n_items, hidden_pruning=(0,), inner_pruning=(0,), **SPACE)
    return EASRecSpace(config.compact(config.largest))


def test_two_epochs_are_those_of_one_training(tiny_dataset: Dataset) -> None:
    training = Training(network(tiny_dataset), context(tiny_dataset))
    times = [training.epoch(), training.epoch()]
    assert all(len(time.seconds) == time.batches == len(training.batches) for time in times)
    whole = network(tiny_dataset)
    module = SequenceModule(tiny_dataset, SETTINGS.retrain)
    module.set_model(whole)
    batches = TrainingBatches(tiny_dataset, 6, 8, SETTINGS.mode, SETTINGS.seed, SETTINGS.history, SETTINGS.batch_by)
    make_trainer(2, [EpochOrder()], progress=False).fit(module, batches)
    for name, weight in whole.state_dict().items():
        torch.testing.assert_close(training.network.state_dict()[name], weight, msg=name)


def test_an_epoch_goes_on_from_a_state(tiny_dataset: Dataset) -> None:
    first = Training(network(tiny_dataset), context(tiny_dataset))
    first.epoch()
    file = io.BytesIO()
    torch.save(first.state_dict(), file)
    file.seek(0)
    second = Training(network(tiny_dataset), context(tiny_dataset))
    second.load_state_dict(torch.load(file, weights_only=True))
    first.epoch()
    second.epoch()
    for name, weight in first.network.state_dict().items():
        torch.testing.assert_close(second.network.state_dict()[name], weight, msg=name)


def test_the_first_iterations_stand_for_an_epoch(tiny_dataset: Dataset) -> None:
    time = search_epoch(context(tiny_dataset), first=2)
    assert len(time.seconds) == len(time.processor_seconds) == 2 < time.batches
    assert time.epoch_seconds == sum(time.seconds) / 2 * time.batches


def test_an_epoch_shorter_than_asked_for_is_measured_whole(tiny_dataset: Dataset) -> None:
    time = search_epoch(context(tiny_dataset), first=10_000)
    assert len(time.seconds) == time.batches
    assert time.epoch_seconds == pytest.approx(sum(time.seconds))


def test_a_log_of_any_size_is_prepared_searched_and_evaluated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The measurements of a synthetic log at scale, here with a small one."""
    small = SyntheticSource("synthetic-gowalla", "small", users=120, items=300, interactions=3000)
    monkeypatch.setattr(sources_module, "NAMED", (small,))
    prepare("synthetic-gowalla", tmp_path / "data")
    settings = {"data": "x", "space": {**SPACE, "inner_pruning": [0, 0.5]}, "search": {"batch_size": 16}}
    request = BenchRequest(dataset=str(tmp_path / "data"), settings=settings, threads=1, batches=3, repeats=1)
    bench = Bench(request)
    figures = {name: ALL[name].measure(bench) for name in ("prepare", "epochs", "evaluation")}
    json.dumps(figures, allow_nan=False)
    assert figures["prepare"]["interactions"] == 3000 and figures["prepare"]["bytes_on_disk"] > 4 * 3000
    assert figures["epochs"]["measured_batches"] == 3 < figures["epochs"]["batches_of_an_epoch"]
    for name in ("search", "training"):
        assert figures["epochs"][f"{name}_epoch_processor_seconds"]["min"] > 0
    evaluated = figures["evaluation"]
    assert (evaluated["users"], evaluated["items"], evaluated["protocols"]) == (120, 300, ["full", "pop100"])
