from __future__ import annotations

import pytest

from easrec_nni.tabular.regret import regret
from easrec_nni.tabular.table import ArchitectureTable


@pytest.mark.parametrize("seed", range(5))
def test_regret_is_the_distance_to_the_best_of_at_most_the_same_cost(seed: int, make_table) -> None:
    table = ArchitectureTable(make_table(seed, ties=seed % 2 == 1))
    front = table.front(figure="test_ndcg@10_unseen")
    largest = max(entry.costs["madds_per_user"] for entry in table.entries)
    for entry in table.entries:
        found = regret(table, entry)
        cost = entry.costs["madds_per_user"]
        best = max(o.mean("test_ndcg@10_unseen") for o in table.entries if o.costs["madds_per_user"] <= cost)
        assert found.absolute == best - entry.mean("test_ndcg@10_unseen") >= 0
        assert found.relative == pytest.approx(1 - entry.mean("test_ndcg@10_unseen") / best)
        assert found.relative_cost == pytest.approx(cost / largest)
        if entry in front:
            assert found.absolute == 0 and found.front is entry


def test_regret_within_a_budget_counts_what_a_smaller_network_misses(make_table) -> None:
    table = ArchitectureTable(make_table(1))
    largest = max(entry.costs["madds_per_user"] for entry in table.entries)
    for budget in (0.4, 0.7, 1.0):
        for entry in table.entries:
            limit = max(entry.costs["madds_per_user"], budget * largest)
            best = max(o.mean("test_ndcg@10_unseen") for o in table.entries if o.costs["madds_per_user"] <= limit)
            found = regret(table, entry, budget=budget)
            assert found.front_figure == best
            assert found.absolute >= regret(table, entry).absolute >= 0
    assert max(regret(table, entry, budget=1.0).absolute - regret(table, entry).absolute for entry in table.entries) > 0
