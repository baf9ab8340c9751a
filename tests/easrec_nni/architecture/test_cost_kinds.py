"""Names of the kinds of cost against what is counted."""

from __future__ import annotations

from dataclasses import replace
from typing import get_args

from easrec_nni.architecture.cost import architecture_cost
from easrec_nni.architecture.cost_kinds import COST_FIGURES, COST_TITLES, CostKind
from easrec_nni.architecture.history_lengths import HistoryLengths
from search_spaces import SpaceConfig


def test_every_kind_has_a_title_and_a_figure_that_is_counted() -> None:
    config = SpaceConfig(n_items=9, max_length=3, hidden=8, inner=8, heads=2, layers=1)
    counted = architecture_cost(config, config.largest, HistoryLengths(((2, 1),)))
    cost = replace(counted, latency_ms_per_user=1.0).as_dict()
    assert set(COST_FIGURES) == set(COST_TITLES) == set(get_args(CostKind))
    assert set(COST_FIGURES.values()) <= set(cost)
