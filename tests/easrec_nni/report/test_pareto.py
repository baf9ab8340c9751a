from __future__ import annotations

from easrec_nni.report.content import Record
from easrec_nni.report.pareto import tradeoff_figure, tradeoff_records


def test_systems_without_a_cost_are_not_in_the_plot() -> None:
    accuracy = [
        {"system": "cheap", "title": "Cheap", "ndcg@10_full": 0.04, "ndcg@10_full_sd": 0.01},
        {"system": "popularity", "title": "popularity", "ndcg@10_full": 0.9},
        {"system": "dear", "title": "Dear", "ndcg@10_full": 0.03},
    ]
    costs = [
        {"system": "cheap", "madds_per_user": 1e6, "madds_per_user_sd": 1e5},
        {"system": "dear", "madds_per_user": 2e6},
        {"system": "popularity", "madds_per_user": None},
    ]
    records = tradeoff_records(accuracy, costs, "madds_per_user")
    assert [(record["system"], record["pareto"]) for record in records] == [("cheap", True), ("dear", False)]
    assert records[0]["madds_per_user_sd"] == 1e5 and records[0]["ndcg@10_full_sd"] == 0.01


def test_executed_multiply_adds_compare_where_every_network_has_them() -> None:
    executed = "executed_madds_per_user_on_histories"
    costs: list[Record] = [
        {"system": "short", "madds_per_user": 2e6, executed: 1e6},
        {"system": "popularity", "madds_per_user": None},
    ]
    assert tradeoff_figure(costs) == executed
    assert tradeoff_figure([*costs, {"system": "of an earlier version", "madds_per_user": 3e6}]) == "madds_per_user"
    assert tradeoff_figure([]) == executed
