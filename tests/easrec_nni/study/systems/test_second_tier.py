"""BERT4Rec, CORE and further attention mechanisms: searched, retrained, saved, evaluated."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from easrec_nni.architecture.document import Architecture
from easrec_nni.architecture.weights import load_network
from easrec_nni.common.errors import UserError
from easrec_nni.data import Dataset
from easrec_nni.evaluation.scoring import evaluate
from easrec_nni.retraining.stage import retrain
from easrec_nni.searching.stage import search
from easrec_nni.settings.trial import TrialSettings
from easrec_nni.study.systems import SYSTEMS
from easrec_nni.study.systems.popularity import Popularity

SPACE: dict[str, Any] = {"max_length": 8, "hidden": 8, "inner": 16, "heads": 2, "layers": 2, "supernet": "shared"}
SPACE |= {"hidden_pruning": [0, 0.5], "inner_pruning": [0]}
MASKED = {"objective": "masked", "direction": "bidirectional"}
SEARCHED: dict[str, tuple[str, dict[str, Any]]] = {
    "masked": ("masked", {**MASKED, "attention": "softmax"}),
    "masked, linformer": ("masked", {**MASKED, "attention": "linformer", "linformer_rank": 3}),
    "core": ("causal", {"head": "core"}),
    "core, bidirectional": ("augmented", {"head": "core", "direction": "bidirectional"}),
    "elu": ("causal", {"attention": "elu"}),
    "efficient": ("causal", {"attention": "efficient"}),
}


@pytest.mark.parametrize("mode, space", SEARCHED.values(), ids=SEARCHED)
def test_a_search_and_a_retraining_run_through(
    tiny_dataset: Dataset, tmp_path: Path, mode: str, space: dict[str, Any]
) -> None:
    document = {
        "data": str(tiny_dataset.path),
        "space": SPACE | space,
        "mode": mode,
        "search": {"epochs": 2, "batch_size": 16},
        "retrain": {"epochs": 1, "batch_size": 16},
    }
    settings = TrialSettings.parse(document, "test")
    result = search(tiny_dataset, settings, tmp_path / "search")
    # What the search ends with is inherited, and what is saved is the network that was measured.
    inherited = load_network(result.architecture, result.supernet).eval()
    assert inherited.config == settings.space_for(tiny_dataset).compact(result.architecture.choices)
    done = retrain(result.architecture, tiny_dataset, tmp_path / "out", weights=result.supernet, settings=settings)
    saved = load_network(Architecture.read(tmp_path / "out" / "architecture.json"), done.folder / "weights.safetensors")
    ids = torch.tensor([[0, 0, 3, 1, 2], [5, 4, 3, 2, 1]])
    assert torch.equal(saved.eval()(ids), done.network(ids))
    is_trained = done.metrics["training"]["kept"] == "trained"  # else no epoch was better than what was inherited
    assert ((inherited(ids) - done.network(ids))[:, 1:].abs().max() > 0) == is_trained
    figures = evaluate(saved, tiny_dataset, protocols=["full"])
    assert figures == {name: done.metrics["test"][name] for name in figures}


def test_another_share_of_masks_is_another_run(tiny_dataset: Dataset, tmp_path: Path) -> None:
    space = SPACE | MASKED | {"hidden_pruning": [0], "min_depth": 2}
    document = {"data": str(tiny_dataset.path), "space": space, "mode": "masked", "retrain": {"epochs": 1}}
    settings = TrialSettings.parse(document, "test")
    config = settings.space_for(tiny_dataset)
    architecture = Architecture(choices=config.largest, space=config)
    retrain(architecture, tiny_dataset, tmp_path, settings=settings)
    other = settings.with_parameters({"masking.share": 0.5})
    with pytest.raises(UserError, match=r"holds a run with other settings \(masking differ\)"):
        retrain(architecture, tiny_dataset, tmp_path, settings=other)


def test_a_mode_that_does_not_fit_the_architecture_is_refused(tiny_dataset: Dataset, tmp_path: Path) -> None:
    settings = TrialSettings(data=str(tiny_dataset.path), space=SPACE)
    config = settings.space_for(tiny_dataset)
    architecture = Architecture(choices=config.largest, space=config)
    with pytest.raises(UserError, match="set space.objective: masked"):
        retrain(architecture, tiny_dataset, tmp_path, settings=settings.with_parameters({"mode": "masked"}))


@pytest.mark.slow
@pytest.mark.parametrize("name, epochs", [("bert4rec", 9), ("bert4rec-linformer", 9), ("core", 4), ("sasrec-elu", 4)])
def test_systems_of_the_second_tier_learn_on_movielens(ml100k: Dataset, tmp_path: Path, name: str, epochs: int) -> None:
    """A one-layer network clearly beats popularity after a few epochs."""
    space = {"max_length": 20, "hidden": 32, "inner": 64, "heads": 2, "layers": 1, "dropout": 0.1}
    training = {"epochs": epochs, "batch_size": 16, "learning_rate": 0.005}
    base = TrialSettings(data="ml-100k", space=space, history="newest", search={"epochs": 1}, retrain=training)
    settings = SYSTEMS[name].settings(base)
    config = settings.space_for(ml100k)
    architecture = Architecture(choices=config.largest, space=config)
    metrics = retrain(architecture, ml100k, tmp_path, settings=settings).metrics
    popularity = evaluate(Popularity(ml100k), ml100k, "valid")
    assert metrics["valid"]["ndcg@10_full"] > 1.5 * popularity["ndcg@10_full"], (metrics["valid"], popularity)
    assert metrics["valid"]["ndcg@10_pop100"] > 1.5 * popularity["ndcg@10_pop100"]
