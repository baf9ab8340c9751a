"""The setting ``micro_batch`` from a trial's file to its results."""

from __future__ import annotations

from pathlib import Path

import pytest

import easrec_nni.training.micro_batch_size as micro_batch_size
from easrec_nni import Architecture, Choice, Dataset, TrialSettings, retrain, search
from easrec_nni.common.errors import UserError

SPACE = {"max_length": 8, "hidden": 8, "inner": 16, "heads": 2, "layers": 2, "dropout": 0.0, "hidden_pruning": [0, 0.5]}
CHOICE = Choice(hidden_pruning=0, inner_pruning=0, depth=2)


def settings_for(dataset: Dataset, micro_batch: object) -> TrialSettings:
    document = {"data": str(dataset.path), "space": SPACE, "micro_batch": micro_batch, "search": {"epochs": 1}}
    document["retrain"] = {"epochs": 2, "batch_size": 8}
    return TrialSettings.parse(document, "test")


@pytest.mark.parametrize("wanted", [16, "measured"])
def test_a_retraining_says_which_size_it_took_and_learns_the_same(
    tiny_dataset: Dataset, tmp_path: Path, wanted: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(micro_batch_size, "CACHED_VALUES", 16 * 16)
    losses, found = {}, {}
    for micro_batch in ("rule", wanted):
        rows: list[dict[str, float]] = []
        settings = settings_for(tiny_dataset, micro_batch)
        architecture = Architecture(choices=CHOICE, space=settings.space_for(tiny_dataset))
        folder = tmp_path / str(micro_batch)
        trained = retrain(architecture, tiny_dataset, folder, settings=settings, on_epoch=rows.append)
        losses[micro_batch] = [row["train_loss"] for row in rows[1:]]  # there is none before the training
        found[micro_batch] = trained.metrics["training"]["micro_batch"]
    assert losses[wanted] == pytest.approx(losses["rule"], rel=1e-4)
    assert found["rule"] == {"wanted": "rule"}
    assert found[wanted]["wanted"] == wanted
    if wanted == "measured":
        assert str(found[wanted]["positions"]) in found[wanted]["seconds_by_positions"]


def test_a_search_with_measured_micro_batches_is_another_run(
    tiny_dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(micro_batch_size, "CACHED_VALUES", 16 * 16)
    found = search(tiny_dataset, settings_for(tiny_dataset, "measured"), tmp_path)
    assert found.history[0]["train_loss"] > 0
    with pytest.raises(UserError, match=r"other settings \(micro_batch differ\)"):
        search(tiny_dataset, settings_for(tiny_dataset, "rule"), tmp_path)


@pytest.mark.parametrize("wrong", [0, -3, 1.5, "fast"])
def test_what_is_no_size_is_refused(tiny_dataset: Dataset, wrong: object) -> None:
    with pytest.raises(UserError, match="micro_batch"):
        settings_for(tiny_dataset, wrong)
