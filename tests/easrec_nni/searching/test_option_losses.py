"""Cross entropy by depth and candidate, compared with compact networks of the same weights."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from easrec_nni import Dataset, TrialSettings
from easrec_nni.data.batches.evaluation import EvaluationBatches
from easrec_nni.evaluation.selection import validation_rows
from easrec_nni.searching import option_losses as module
from easrec_nni.searching.one_shot import make_strategy
from easrec_nni.searching.option_losses import OptionLosses
from easrec_nni.training.context import TrialContext
from search_spaces import EASRecSpace
from strategies import STRATEGIES

SPACE = {"max_length": 6, "hidden": 8, "inner": 16, "heads": 2, "layers": 3, "hidden_pruning": [0, 0.5]}


def settings_of(dataset: Dataset, name: str, arch_loss: str | None = None) -> TrialSettings:
    search = {"strategy": name, "arch_share": 0.7, "arch_loss": arch_loss}
    document = {"data": str(dataset.path), "space": {**SPACE, "supernet": "shared"}, "search": search, "loss": "gbce"}
    return TrialSettings.parse(document, "test")


@pytest.mark.parametrize(
    ("name", "arch_loss"), [*((name, "training") for name in STRATEGIES), ("darts", "calibrated"), ("easrec", None)]
)
def test_it_is_the_cross_entropy_of_the_compact_networks(
    tiny_dataset: Dataset, name: str, arch_loss: str | None
) -> None:
    settings = settings_of(tiny_dataset, name, arch_loss)
    scales = [1.0] if arch_loss == "training" else torch.logspace(math.log10(0.125), math.log10(2), 400).tolist()
    context = TrialContext.open(settings, tiny_dataset)
    config = context.space
    torch.manual_seed(0)
    space = EASRecSpace(config)
    networks = {choice: space.freeze(choice).eval() for choice in config.architectures()}
    strategy = make_strategy(context, 10)
    strategy.mutate_model(space)
    selection = strategy.selection
    assert selection is not None
    drawn = selection.draw()
    space.train()
    losses_by_label = OptionLosses(context)(space, selection)
    assert space.training and not selection.hard and selection.weights is drawn

    rows, _ = validation_rows(tiny_dataset, 0.7)
    batches = list(EvaluationBatches(tiny_dataset, "valid", config.max_length, 1, rows))  # one user at a time
    expected = {}
    for choice, network in networks.items():
        with torch.no_grad():
            scores = torch.cat([network(b.ids)[:, 1:].double() for b in batches])
        targets = torch.cat([b.targets - 1 for b in batches])
        expected[choice] = min(float(F.cross_entropy(scale * scores, targets)) for scale in scales)
    largest, exact = config.largest, 1e-5 if arch_loss == "training" else 1e-3
    for place, depth in enumerate(config.depths):
        choice = largest.model_copy(update={"depth": depth})
        assert losses_by_label["depth"][place] == pytest.approx(expected[choice], rel=exact)
    for place, (hidden, inner) in enumerate(config.candidates):
        choice = largest.model_copy(update={"hidden_pruning": hidden, "inner_pruning": inner})
        assert losses_by_label["pruning"][place] == pytest.approx(expected[choice], rel=exact)
    assert len(set(losses_by_label["depth"])) == 3


def test_many_users_are_sampled_the_same_way_every_time(
    tiny_dataset: Dataset, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(module, "MOST_USERS", 5)
    context = TrialContext.open(settings_of(tiny_dataset, "easrec"), tiny_dataset)
    first, second = (OptionLosses(context).batches.rows.tolist() for _ in range(2))
    assert first == second and len(set(first)) == 5
    assert set(first) <= set(validation_rows(tiny_dataset, 0.7)[0].tolist())
