from __future__ import annotations

import numpy as np
import pytest

from easrec_nni.report.pareto import pareto_front, tradeoff_records


def _beaten(point: tuple[float, float], other: tuple[float, float]) -> bool:
    return other[0] <= point[0] and other[1] >= point[1] and other != point


@pytest.mark.parametrize("seed", range(40))
def test_the_front_is_what_no_other_point_beats(seed: int) -> None:
    rng = np.random.default_rng(seed)
    # Few different values, so that there are ties in each figure and equal points.
    points = [(float(x), float(y)) for x, y in rng.integers(0, 6, size=(12, 2))]
    front = pareto_front(points)
    unbeaten = {index for index, point in enumerate(points) if not any(_beaten(point, other) for other in points)}
    assert set(front) == unbeaten
    assert [points[index][0] for index in front] == sorted(points[index][0] for index in front)
    assert len(front) == len(set(front))


def test_no_points_no_front() -> None:
    assert pareto_front([]) == []


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
    records = tradeoff_records(accuracy, costs)
    assert [(record["system"], record["pareto"]) for record in records] == [("cheap", True), ("dear", False)]
    assert records[0]["madds_per_user_sd"] == 1e5 and records[0]["ndcg@10_full_sd"] == 0.01
