"""Choice from a front, against brute force over its rows."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from easrec_nni.common.errors import UserError
from easrec_nni.searching.front import EvaluatedArchitecture, Front, find_front, read_front, write_front
from easrec_nni.searching.picking import Limit, cost_figure, parse_share, pick, with_latency
from search_spaces import SpaceConfig
from tests.easrec_nni.architecture.test_latency import latency_file

SPACE = SpaceConfig(n_items=50, hidden=16, inner=32, heads=2, layers=2, hidden_pruning=(0, 0.25, 0.5))


def a_front(seed: int = 0, **changes: Any) -> Front:
    """Front with random accuracies; costs grow with width and depth."""
    numbers = random.Random(seed)
    rows = []
    for choice in SPACE.architectures():
        size = (1 - choice.hidden_pruning) * (2 - choice.inner_pruning) * choice.depth
        cost = {"madds_per_user": 1000 * size, "parameters": 100 * size + choice.depth}
        cost["executed_madds_per_user_on_histories"] = 500 * size
        metrics = {"ndcg@10_full": numbers.choice([0.01, 0.02, 0.03, 0.04]), "recall@10_full": 0.5}
        rows.append(EvaluatedArchitecture(**choice.model_dump(), metrics=metrics, cost=cost))
    fields: dict[str, Any] = {"dataset": "d", "fingerprint": "f", "figure": "ndcg@10_full", "users": 9, "of": len(rows)}
    return Front(**{**fields, "largest": SPACE.largest, "architectures": rows, **changes})


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("share", [0.2, 0.5, 1.0])
def test_within_limits_the_most_accurate_is_taken_and_of_equals_the_cheapest(seed: int, share: float) -> None:
    front = a_front(seed)
    largest = share * front.unpruned().cost["madds_per_user"]
    limits = [Limit("madds_per_user", largest), Limit("parameters", 350)]
    taken = pick(front, limits)
    within = [
        row for row in front.architectures if row.cost["madds_per_user"] <= largest and row.cost["parameters"] <= 350
    ]
    assert taken in within
    best = max(front.accuracy(row) for row in within)
    equals = [row for row in within if front.accuracy(row) == best]
    assert front.accuracy(taken) == best
    assert taken.cost["madds_per_user"] == min(row.cost["madds_per_user"] for row in equals)


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("keep", [0.5, 0.98])
def test_the_cheapest_that_keeps_the_accuracy_is_taken(seed: int, keep: float) -> None:
    front = a_front(seed)
    taken = pick(front, [], keep, "parameters")
    least = keep * front.accuracy(front.unpruned())
    enough = [row for row in front.architectures if front.accuracy(row) >= least]
    assert taken.cost["parameters"] == min(row.cost["parameters"] for row in enough) and taken in enough


def test_impossible_limits_name_the_nearest_architecture() -> None:
    front = a_front()
    with pytest.raises(UserError, match=r"parameters of at most 10: the smallest, hidden50_inner50, depth 1, has 76"):
        pick(front, [Limit("parameters", 10)])
    rows = [
        row.model_copy(update={"metrics": {"ndcg@10_full": 0.04 if row.choice == SPACE.largest else 0.03}})
        for row in front.architectures
    ]
    front = front.model_copy(update={"architectures": rows})
    with pytest.raises(
        UserError, match=r"keeps ndcg@10_full 0.0396: the best, .* has 0.0300, 75.0% of the supernet's largest"
    ):
        pick(front, [Limit("parameters", 200)], 0.99)


@pytest.mark.parametrize("text", ["0", "0%", "120%", "-3%", "forty", "", "40%%", "1.5"])
def test_shares_out_of_range_are_refused(text: str) -> None:
    with pytest.raises(UserError, match="such as 40% or 0.4"):
        parse_share(text, "--max-cost")


def test_executed_cost_is_the_default_where_a_front_has_it() -> None:
    front = a_front()
    assert cost_figure(front, None) == cost_figure(front, "executed") == "executed_madds_per_user_on_histories"
    rows = [
        row.model_copy(update={"cost": {"madds_per_user": row.cost["madds_per_user"]}}) for row in front.architectures
    ]
    bare = front.model_copy(update={"architectures": rows})
    assert cost_figure(bare, None) == "madds_per_user"
    for kind, remedy in (("parameters", "choose from nominal"), ("latency", "give --latency FILE")):
        with pytest.raises(UserError, match=f"has no {kind} cost: {remedy}"):
            cost_figure(bare, kind)
    with pytest.raises(UserError, match="unknown --cost time; choose from executed, nominal, parameters, latency"):
        cost_figure(front, "time")


def test_latencies_are_those_that_the_file_predicts() -> None:
    file = latency_file(SPACE)
    front = with_latency(a_front(), file, SPACE)
    key = cost_figure(front, "latency")
    for row, before in zip(front.architectures, a_front().architectures, strict=True):
        assert row.cost[key] == file.predict(row.choice, SPACE)
        assert {name: value for name, value in row.cost.items() if name != key} == before.cost
    limit = sorted(row.cost[key] for row in front.architectures)[3]
    assert pick(front, [Limit(key, limit)], None, key).cost[key] <= limit
    with pytest.raises(UserError, match=r"of at most 1e-09 ms: the smallest, .* has .* ms"):
        pick(front, [Limit(key, 1e-9)])


def test_a_front_is_read_as_it_was_written_and_damage_is_named(tmp_path: Path) -> None:
    front = a_front()
    write_front(front, tmp_path / "search")
    assert read_front(tmp_path / "search") == front
    assert find_front(tmp_path) == find_front(tmp_path / "search") == tmp_path / "search"
    with pytest.raises(UserError, match="finished search with search.strategy: elastic"):
        find_front(tmp_path / "other")
    (tmp_path / "search" / "front.json").write_text('{"dataset": "d"')
    with pytest.raises(UserError, match=r"damaged .* `easrec pareto RUN --evaluate` writes it again"):
        read_front(tmp_path / "search")
    with pytest.raises(UserError, match="lacks the unpruned network"):
        front.model_copy(update={"architectures": front.architectures[2:3]}).unpruned()
