"""Cost and reward of candidates, and the record from which an interrupted search resumes."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from easrec_nni.architecture.cost import architecture_cost
from easrec_nni.searching.candidates import CandidateRecord, epoch_cost, log_linear_reward, ndcg_of_chance
from search_spaces import Choice, SpaceConfig

CONFIG = SpaceConfig(n_items=300, max_length=20, hidden=16, inner=32, heads=2, layers=3, gate_layers=0)


def test_reward_is_accuracy_in_nats_less_lambda_times_cost() -> None:
    chance = ndcg_of_chance(1000)
    assert log_linear_reward(chance, 0, 0.7, 1000) == 0
    assert log_linear_reward(math.e**2 * chance, 0.5, 0.4, 1000) == pytest.approx(2 - 0.2)
    # What costs nothing may lose a factor of exp(-lambda).
    assert log_linear_reward(0.05 * math.exp(-0.3), 0, 0.3, 1000) == pytest.approx(
        log_linear_reward(0.05, 1, 0.3, 1000)
    )
    assert log_linear_reward(0.0, 0.25, 1, 1000) == -0.25


def test_reward_orders_as_the_weighted_product_and_as_monas() -> None:
    random = np.random.default_rng(0)
    pairs = list(zip(random.uniform(0.02, 0.1, 40), random.uniform(0.05, 1, 40), strict=True))
    lambda_ = 0.6
    alpha = 1 / (1 + lambda_)
    ours = np.argsort([log_linear_reward(ndcg, cost, lambda_, 1000) for ndcg, cost in pairs])
    assert list(ours) == list(np.argsort([ndcg * math.exp(-lambda_ * cost) for ndcg, cost in pairs]))
    assert list(ours) == list(np.argsort([alpha * math.log(ndcg) - (1 - alpha) * cost for ndcg, cost in pairs]))


@pytest.mark.parametrize("n_items", [4, 50])
def test_chance_is_the_mean_over_all_ranks(n_items: int) -> None:
    gains = [1 / math.log2(rank + 1) if rank <= 10 else 0.0 for rank in range(1, n_items + 1)]
    assert ndcg_of_chance(n_items) == pytest.approx(np.mean(gains))


def test_an_epoch_costs_the_layers_and_the_scores_of_every_position() -> None:
    small, large = Choice(hidden_pruning=0.5, inner_pruning=0.25, depth=2), CONFIG.largest
    nominal = [architecture_cost(CONFIG, choice).madds_per_user for choice in (small, large)]
    # With one score per user that is what inference costs nominally; the other 19 positions score 300 items of width d.
    assert epoch_cost(CONFIG, small, 1) == pytest.approx(nominal[0] / nominal[1])
    scores = [19 * 8 * 301, 19 * 16 * 301]
    share = (nominal[0] + scores[0]) / (nominal[1] + scores[1])
    assert epoch_cost(CONFIG, small, 20) == pytest.approx(share)
    assert share > 1.2 * nominal[0] / nominal[1]  # scores shrink with the width alone
    assert epoch_cost(CONFIG, large, 20) == epoch_cost(CONFIG, large, 1) == 1


def row(number: int, choice: Choice, reward: float) -> dict[str, float]:
    return {"epoch": number, **choice.model_dump(), "reward": reward, "price": 0.1 * (number + 1)}


def test_record_keeps_rows_and_the_best_weights(tmp_path: Path) -> None:
    choices = CONFIG.architectures()[:4]
    record = CandidateRecord(tmp_path)
    assert record.rows == [] and record.spent == 0 and record.find(choices[0]) is None
    for number, reward in enumerate([0.1, 1 / 3, 1 / 3, -1.0]):
        record.add(row(number, choices[number], reward), {"weight": torch.tensor([float(number)])})
    assert record.best_row["epoch"] == 1  # the first of two equals
    assert load_file(tmp_path / "best.safetensors")["weight"].item() == 1
    assert record.spent == pytest.approx(1.0)
    again = CandidateRecord(tmp_path)
    assert again.rows == record.rows
    assert isinstance(again.rows[0]["epoch"], int) and isinstance(again.rows[0]["depth"], int)
    assert again.find(choices[2]) == row(2, choices[2], 1 / 3)
    assert again.find(CONFIG.architectures()[5]) is None
