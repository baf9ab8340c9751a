"""Contract of every protocol: ranks match a plain loop; metrics carry its name."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from easrec_nni.data import Dataset, load_dataset
from easrec_nni.evaluation import scoring
from easrec_nni.evaluation.figures import PROTOCOLS as FINAL_PROTOCOLS
from easrec_nni.evaluation.metrics import METRICS
from easrec_nni.evaluation.ranking import KNOWN_PROTOCOLS, PROTOCOLS
from easrec_nni.evaluation.scoring import evaluate, rank_users

EVERY = pytest.mark.parametrize("protocol", KNOWN_PROTOCOLS)
PARTS = pytest.mark.parametrize("part", ["valid", "test"])
AMONG_ALL = ("full", "unseen")
"""Protocols that rank among the catalogue; any other ranks against the dataset's negatives of its name."""


class Scores(nn.Module):
    """Network whose scores depend on the last item only; few distinct values give many ties."""

    def __init__(self, n_items: int, values: int) -> None:
        super().__init__()
        self.n_items, self.values = n_items, values

    def forward(self, ids: Tensor) -> Tensor:
        items = torch.arange(self.n_items + 1)
        scores = (items * 7919 + ids[:, -1:] * 104_729) % 10_007
        return (scores % self.values).double() if self.values else scores.double() + items / 1e6


def one_by_one(network: nn.Module, dataset: Dataset, part: str, protocol: str, length: int) -> list[int]:
    """Reference ranks of the targets, by a loop over users and items."""
    ranks = []
    for row, user in enumerate(dataset.split.test.users):
        log = dataset.items[dataset.offsets[user] : dataset.offsets[user + 1]].tolist()
        *history, target = log if part == "test" else log[:-1]
        others = [item for item in range(1, dataset.n_items + 1) if item != target]
        if protocol == "unseen":
            others = sorted(set(others) - set(history))
        elif protocol not in AMONG_ALL:
            others = [item for item in dataset.negatives(protocol, part)[row].tolist() if item]
            assert others and len(set(others)) == len(others) and target not in others
            assert min(others) >= 1 and max(others) <= dataset.n_items
        scores = network(torch.tensor([history[-length:]]))[0].tolist()
        ranks.append(1 + sum(scores[item] >= scores[target] for item in others))
    return ranks


@EVERY
@PARTS
@pytest.mark.parametrize("values", [0, 3], ids=["all different", "ties"])
def test_ranks_are_those_of_a_loop(tiny_dataset: Dataset, protocol: str, part: str, values: int) -> None:
    network = Scores(tiny_dataset.n_items, values)
    expected = one_by_one(network, tiny_dataset, part, protocol, 6)
    result = rank_users(network, tiny_dataset, part, max_length=6, protocols=[protocol])[protocol]
    assert result.dtype == np.int64 and result.tolist() == expected
    gains = {
        "recall": [float(rank <= 5) for rank in expected],
        "mrr": [1 / rank if rank <= 5 else 0.0 for rank in expected],
        "ndcg": [1 / math.log2(1 + rank) if rank <= 5 else 0.0 for rank in expected],
    }
    assert set(gains) == set(METRICS)
    wanted = {f"{name}@5_{protocol}": sum(each) / len(each) for name, each in gains.items()}
    assert evaluate(network, tiny_dataset, part, max_length=6, k=5, protocols=[protocol]) == pytest.approx(wanted)


@EVERY
@PARTS
def test_ranks_are_those_of_a_loop_where_the_catalogue_is_large(ml100k: Dataset, protocol: str, part: str) -> None:
    network = Scores(ml100k.n_items, 0)
    ranks = rank_users(network, ml100k, part, max_length=1, protocols=KNOWN_PROTOCOLS)
    assert ranks[protocol].tolist() == one_by_one(network, ml100k, part, protocol, 1)
    for other in KNOWN_PROTOCOLS:
        assert other == protocol or ranks[other].tolist() != ranks[protocol].tolist(), "two names for one ranking"


@EVERY
def test_neither_batches_nor_opening_again_change_a_rank(
    tiny_dataset: Dataset, protocol: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = Scores(tiny_dataset.n_items, 0)
    expected = rank_users(network, tiny_dataset, "test", max_length=4, protocols=[protocol])[protocol].tolist()
    again = load_dataset(tiny_dataset.path)
    for size in (1, 3, 1000):
        monkeypatch.setattr(scoring, "evaluation_batch_size", lambda n_items, size=size: size)
        assert rank_users(network, again, "test", max_length=4, protocols=[protocol])[protocol].tolist() == expected


@EVERY
def test_equal_scores_rank_the_target_last_and_a_nan_is_an_error(tiny_dataset: Dataset, protocol: str) -> None:
    class Same(nn.Module):
        def __init__(self, score: float) -> None:
            super().__init__()
            self.score = score

        def forward(self, ids: Tensor) -> Tensor:
            return torch.full((len(ids), tiny_dataset.n_items + 1), self.score)

    ranks = rank_users(Same(0.5), tiny_dataset, "test", max_length=4, protocols=[protocol])[protocol]
    assert ranks.tolist() == one_by_one(Same(0.5), tiny_dataset, "test", protocol, 4) and ranks.min() > 1
    with pytest.raises(ValueError, match="the scores contain NaN"):
        rank_users(Same(math.nan), tiny_dataset, "test", max_length=4, protocols=[protocol])


def test_protocols_that_are_used_are_known() -> None:
    assert {*PROTOCOLS, *FINAL_PROTOCOLS} <= set(KNOWN_PROTOCOLS)
