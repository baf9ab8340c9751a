"""Training in bfloat16: an option that leaves validation in float32."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from easrec_nni import Architecture, Choice, Dataset, TrialSettings, retrain, search
from easrec_nni.common.errors import UserError
from easrec_nni.training.losses import LOSSES
from easrec_nni.training.trainer import seed_everything
from search_spaces import EASRecSpace, SpaceConfig
from search_spaces.candidates import Candidates

SPACE = {"max_length": 8, "hidden": 8, "inner": 16, "heads": 2, "layers": 2, "dropout": 0.0, "hidden_pruning": [0, 0.5]}


def settings_for(dataset: Dataset, precision: str, **changes: object) -> TrialSettings:
    document = {"data": str(dataset.path), "space": SPACE, "precision": precision, "search": {"epochs": 1}}
    document |= {"retrain": {"epochs": 8, "batch_size": 8, "learning_rate": 0.01}}
    return TrialSettings.parse({**document, **changes}, "test")


@pytest.mark.parametrize("loss", LOSSES)
def test_a_network_learns_in_bfloat16_and_is_judged_in_float32(
    tiny_dataset: Dataset, tmp_path: Path, loss: str
) -> None:
    rows: dict[str, list[dict[str, float]]] = {"float32": [], "bf16": []}
    for precision, result in rows.items():
        settings = settings_for(tiny_dataset, precision, loss=loss, negatives=9)
        choice = Choice(hidden_pruning=0, inner_pruning=0, depth=2)
        architecture = Architecture(choices=choice, space=settings.space_for(tiny_dataset))
        trained = retrain(architecture, tiny_dataset, tmp_path / precision, settings=settings, on_epoch=result.append)
        # What selected the best epoch is what its weights have outside of the training.
        best = max(row["ndcg@10_full"] for row in result)
        assert trained.metrics["valid"]["ndcg@10_full"] == pytest.approx(best, rel=1e-12)
        assert all(weight.dtype != torch.bfloat16 for weight in trained.network.state_dict().values())
    exact, rounded = ([row["train_loss"] for row in result[1:]] for result in rows.values())  # none before the training
    assert exact != rounded and rounded == pytest.approx(exact, rel=0.05)
    assert rounded[-1] < rounded[0]


@pytest.mark.parametrize("supernet", ["independent", "shared"])
def test_the_mixture_of_long_sequences_in_bfloat16_is_that_of_float32_rounded(supernet: str) -> None:
    """Sequences longer than a chunk of attention, with gradients."""
    seed_everything(0)
    config = SpaceConfig(
        n_items=20, max_length=150, hidden=16, inner=32, heads=2, layers=2, supernet=supernet, dropout=0
    )
    space = EASRecSpace(config)
    first, second = (block for block in space.blocks() if isinstance(block, Candidates))
    ids = torch.randint(1, 21, (3, 150))
    weights = torch.full((9,), 1 / 9)
    result = {}
    for name, enabled in (("float32", False), ("bf16", True)):
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            batch = space.embedding.embed(ids)
            states = second.mix(weights, first.mix(weights, None, batch), batch)
            gradients = torch.autograd.grad(states[..., 0].float().mean(), list(first.parameters()), allow_unused=True)
        result[name] = states.float(), torch.cat([each.flatten() for each in gradients if each is not None])
    for exact, rounded in zip(result["float32"], result["bf16"], strict=True):
        assert 0 < (exact - rounded).norm() / exact.norm() < 0.05


def test_a_search_runs_in_bfloat16(tiny_dataset: Dataset, tmp_path: Path) -> None:
    result = search(tiny_dataset, settings_for(tiny_dataset, "bf16"), tmp_path)
    assert result.history[0]["train_loss"] > 0 and result.architecture.choices.depth in (1, 2)
    with pytest.raises(UserError, match=r"other settings \(precision differ\)"):
        search(tiny_dataset, settings_for(tiny_dataset, "float32"), tmp_path)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_trains_in_bfloat16(tiny_dataset: Dataset, tmp_path: Path) -> None:
    settings = settings_for(tiny_dataset, "bf16")
    choice = Choice(hidden_pruning=0, inner_pruning=0, depth=2)
    architecture = Architecture(choices=choice, space=settings.space_for(tiny_dataset))
    rows: list[dict[str, float]] = []
    retrain(architecture, tiny_dataset, tmp_path, settings=settings, on_epoch=rows.append)
    assert rows[-1]["train_loss"] < rows[1]["train_loss"]
