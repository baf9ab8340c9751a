from __future__ import annotations

import pytest

from easrec_nni.tabular.order import training_order
from search_spaces import Choice, SpaceConfig


def cost(choice: Choice) -> float:
    return choice.depth * (1 - choice.hidden_pruning) * (2 - choice.inner_pruning)


@pytest.mark.parametrize("ratios", [(0.0,), (0.0, 0.5), (0.0, 0.25, 0.5, 0.75)])
@pytest.mark.parametrize("layers", [1, 2, 3])
def test_every_prefix_covers_the_range_of_costs(ratios: tuple[float, ...], layers: int) -> None:
    space = SpaceConfig(n_items=9, hidden=16, inner=16, heads=2, layers=layers, hidden_pruning=ratios)
    order = training_order(space, cost)
    assert sorted(order, key=space.architectures().index) == space.architectures()
    ranking = sorted(space.architectures(), key=cost)
    assert cost(order[0]) == cost(ranking[-1]) and cost(order[min(1, len(order) - 1)]) == cost(ranking[0])
    for length in range(2, len(order) + 1):
        # No gap between neighbours is more than twice as wide as the smallest that as many points can leave.
        places = sorted(ranking.index(choice) for choice in order[:length])
        widest = max(later - earlier for earlier, later in zip(places, places[1:], strict=False))
        assert widest <= 2 * -(-(len(order) - 1) // (length - 1))
