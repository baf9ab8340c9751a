from __future__ import annotations

import numpy as np
import pytest

from easrec_nni.common.pareto import pareto_front


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
