"""Every loss in every mode and head: from a batch to gradients, and through a whole run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError

from easrec_nni import Architecture, Choice, Dataset, TrialSettings, retrain, search
from easrec_nni.common.errors import UserError
from easrec_nni.data.batches.training import TrainingBatch
from easrec_nni.settings.trial import TrialSettings as Settings
from easrec_nni.training.context import TrialContext
from easrec_nni.training.losses import LOSSES, make_loss, next_item_loss
from search_spaces import EASRecSpace, SpaceConfig

SPACE: dict[str, Any] = {"max_length": 8, "hidden": 8, "inner": 16, "heads": 2, "layers": 2}
MODES: dict[str, dict[str, Any]] = {
    "causal": {},
    "augmented": {"direction": "bidirectional"},
    "masked": {"direction": "bidirectional", "objective": "masked"},
}
SAMPLED = [name for name, loss in LOSSES.items() if loss.needs_negatives]


def test_settings_know_the_losses_that_there_are() -> None:
    assert [Settings(data="x", loss=name).loss for name in LOSSES] == list(LOSSES)
    for wrong in ({"loss": "hinge"}, {"negatives": 0}, {"gbce_t": 1.1}):
        with pytest.raises(ValidationError):
            Settings(data="x", **wrong)


@pytest.mark.parametrize(
    ("mode", "head"),
    [("causal", "state"), ("causal", "core"), ("augmented", "state"), ("augmented", "core"), ("masked", "state")],
)
def test_with_all_items_sampled_softmax_is_the_default_in_every_mode(
    tiny_dataset: Dataset, mode: str, head: str
) -> None:
    """Equality up to float64 rounding, including the gradients of every weight."""
    n_items = tiny_dataset.n_items
    torch.manual_seed(3)
    network = EASRecSpace(SpaceConfig(**SPACE, **MODES[mode], head=head, n_items=n_items)).double().eval()
    settings = Settings(data="tiny", mode=mode, loss="sampled_softmax", negatives=n_items)
    batch = next(iter(TrialContext(settings, tiny_dataset, network.config).training_batches(16)))
    gradients = []
    for loss in (None, make_loss("sampled_softmax", n_items)):
        network.zero_grad()
        next_item_loss(network, batch, loss).backward()
        gradients.append({name: weight.grad for name, weight in network.named_parameters() if weight.grad is not None})
    assert len(gradients[0]) > 10 and gradients[0].keys() == gradients[1].keys()
    for name, expected in gradients[0].items():
        torch.testing.assert_close(gradients[1][name], expected, rtol=1e-8, atol=1e-12)


@pytest.mark.parametrize("name", SAMPLED)
def test_only_sampled_items_get_a_gradient_as_outputs(name: str) -> None:
    network = EASRecSpace(SpaceConfig(**SPACE, n_items=40)).eval()
    batch = TrainingBatch(torch.tensor([[0, 5, 6]]), torch.tensor([[0, 6, 7]]), torch.tensor([20, 30]))
    next_item_loss(network, batch, make_loss(name, 40)).backward()
    touched = network.embedding.items.weight.grad.abs().sum(1).nonzero()[:, 0].tolist()
    assert touched == [5, 6, 7, 20, 30]


@pytest.mark.parametrize("name", LOSSES)
def test_a_network_learns(tiny_dataset: Dataset, tmp_path: Path, name: str) -> None:
    document = {
        "data": "tiny",
        "loss": name,
        "negatives": 10,
        "retrain": {"epochs": 12, "batch_size": 8, "learning_rate": 0.01},
    }
    settings = TrialSettings.parse({**document, "space": {**SPACE, "dropout": 0.0}}, "test")
    choice = Choice(hidden_pruning=0, inner_pruning=0, depth=1)
    architecture = Architecture(choices=choice, space=settings.space_for(tiny_dataset))
    rows: list[dict[str, float]] = []
    trained = retrain(architecture, tiny_dataset, tmp_path, settings=settings, on_epoch=rows.append)
    assert rows[-1]["train_loss"] < 0.9 * rows[1]["train_loss"]
    assert trained.metrics["settings"]["loss"] == name
    other = settings.with_parameters({"negatives": 11})
    if name in SAMPLED:
        with pytest.raises(UserError, match=r"other settings \(negatives differ\)"):
            retrain(architecture, tiny_dataset, tmp_path, settings=other)
    else:
        assert retrain(architecture, tiny_dataset, tmp_path, settings=other).metrics["test"] == trained.metrics["test"]


@pytest.mark.parametrize("name", LOSSES)
def test_a_search_takes_both_steps_by_the_loss(
    tiny_dataset: Dataset, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind, seen = LOSSES[name], []
    call = kind.__call__

    def spied(self: Any, network: Any, states: Any, targets: Any, negatives: Any) -> Any:
        seen.append((negatives is None or len(negatives), torch.is_grad_enabled(), len(targets)))
        return call(self, network, states, targets, negatives)

    monkeypatch.setattr(kind, "__call__", spied)
    document = {"data": "tiny", "loss": name, "negatives": 10, "space": {**SPACE, "hidden_pruning": [0, 0.5]}}
    settings = TrialSettings.parse({**document, "search": {"epochs": 1, "batch_size": 8}}, "test")
    result = search(tiny_dataset, settings, tmp_path)
    iterations = len(TrialContext.open(settings, tiny_dataset).training_batches(8))
    assert sum(with_gradient for _, with_gradient, _ in seen) == 2 * iterations  # others look for the best scale
    assert {count for count, _, _ in seen} == ({10} if name in SAMPLED else {True})
    assert result.architecture.choices.depth in (1, 2)
