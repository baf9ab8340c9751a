"""Coverage and popularity against an explicit sort of the scores."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from easrec_nni.data import Dataset
from easrec_nni.evaluation import scoring as evaluation_module
from easrec_nni.evaluation.beyond_accuracy import Recommended
from easrec_nni.evaluation.scoring import evaluate_fully
from easrec_nni.study.systems.popularity import Popularity


def sorted_items(row: list[float], k: int) -> list[int]:
    return sorted(range(1, len(row)), key=lambda item: (-row[item], item))[:k]


def test_figures_by_hand() -> None:
    recommended = Recommended(4, (1, 2))
    recommended.add(torch.tensor([[0.0, 4, 3, 2, 1], [0.0, 4, 1, 2, 3]]))  # 1, 2 and 1, 4
    recommended.add(torch.tensor([[0.0, 1, 4, 3, 1]]))  # 2, 3
    counts = np.array([0, 10, 6, 0, 2])
    assert recommended.metrics(counts) == {
        "coverage@1_full": 2 / 4,
        "mean_popularity@1_full": pytest.approx((10 + 10 + 6) / 3),
        "coverage@2_full": 4 / 4,
        "mean_popularity@2_full": pytest.approx((10 + 6 + 10 + 2 + 6 + 0) / 6),
    }
    assert all(type(value) is float for value in recommended.metrics(counts).values())


def test_nothing_recommended_is_an_error() -> None:
    with pytest.raises(ValueError, match="no user was evaluated"):
        Recommended(4).metrics(np.zeros(5))


def test_of_everybodys_same_items_the_coverage_is_least_and_the_popularity_most(ml100k: Dataset) -> None:
    counts = ml100k.training_counts
    figures, _ = evaluate_fully(Popularity(ml100k), ml100k, "test", (10, 20), ("full",))
    for k in (10, 20):
        assert figures[f"coverage@{k}_full"] == k / ml100k.n_items
        assert figures[f"mean_popularity@{k}_full"] == pytest.approx(np.sort(counts)[-k:].mean())


class Moving(nn.Module):
    """Network whose scores depend on the last item only, with ties."""

    def __init__(self, n_items: int) -> None:
        super().__init__()
        self.n_items = n_items

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        return ((torch.arange(self.n_items + 1) * (1 + ids[:, -1:] % 5)) % 7).float()


@pytest.mark.parametrize("batch_size", [1, 7, 256])
@pytest.mark.parametrize("part", ["valid", "test"])
def test_evaluation_counts_every_user_once(
    tiny_dataset: Dataset, part: str, batch_size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evaluation_module, "evaluation_batch_size", lambda n_items: batch_size)
    network, split = Moving(tiny_dataset.n_items), tiny_dataset.split
    places = split.valid.places if part == "valid" else split.test.places
    shown: list[int] = []
    for place in places:
        shown += sorted_items(network(torch.tensor([[int(tiny_dataset.items[place - 1])]]))[0].tolist(), 3)
    counts = tiny_dataset.training_counts
    figures, _ = evaluate_fully(network, tiny_dataset, part, 3)
    assert figures["coverage@3_full"] == len(set(shown)) / tiny_dataset.n_items < 1
    assert figures["mean_popularity@3_full"] == pytest.approx(np.mean([counts[item] for item in shown]))
