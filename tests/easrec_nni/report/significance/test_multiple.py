"""Holm's correction compared with hand calculation and its two definitions."""

from __future__ import annotations

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from easrec_nni.report.significance import holm

p_values = st.lists(st.floats(0, 1), min_size=1, max_size=6)


def closed_testing(p: list[float], place: int) -> float:
    """Closed testing: largest Bonferroni p-value of all sets that contain a hypothesis."""
    others = [index for index in range(len(p)) if index != place]
    sets = [(place, *rest) for size in range(len(p)) for rest in combinations(others, size)]
    return max(min(1.0, len(chosen) * min(p[index] for index in chosen)) for chosen in sets)


def rejected(p: list[float], level: float) -> set[int]:
    """Holm's procedure as published: step down while the smallest p-value is below its level."""
    order = sorted(range(len(p)), key=lambda place: p[place])
    hypotheses: set[int] = set()
    for turn, place in enumerate(order):
        if p[place] > level / (len(p) - turn):
            break
        hypotheses.add(place)
    return hypotheses


def test_by_hand() -> None:
    # 5 comparisons: 5 x 0.005, 4 x 0.01, 3 x 0.03, 2 x 0.04 (less than the one before), 1 x 0.2.
    assert holm([0.03, 0.005, 0.2, 0.01, 0.04]) == pytest.approx([0.09, 0.025, 0.2, 0.04, 0.09])


@pytest.mark.parametrize(
    ("raw", "corrected"),
    [
        ([], []),
        ([0.03], [0.03]),
        ([None], [None]),
        ([None, 0.04, None], [None, 0.04, None]),  # what was not tested is not counted
        ([0.5, 0.6], [1.0, 1.0]),
        ([0.02, 0.02, 0.02], [0.06, 0.06, 0.06]),
        ([0.0, 1.0], [0.0, 1.0]),
    ],
)
def test_small_cases(raw: list[float | None], corrected: list[float | None]) -> None:
    adjusted = holm(raw)
    assert [value is None for value in adjusted] == [value is None for value in corrected]
    assert [v for v in adjusted if v is not None] == pytest.approx([v for v in corrected if v is not None])


@given(p_values)
def test_it_is_closed_testing_with_bonferroni(p: list[float]) -> None:
    assert holm(p) == pytest.approx([closed_testing(p, place) for place in range(len(p))])


@given(p_values)
def test_it_keeps_the_order_and_only_makes_larger(p: list[float]) -> None:
    corrected = [value for value in holm(p) if value is not None]
    assert all(raw <= value <= 1 for raw, value in zip(p, corrected, strict=True))
    pairs = sorted(zip(p, corrected, strict=True))
    assert all(first[1] <= second[1] for first, second in zip(pairs, pairs[1:], strict=False))


@given(p_values, st.floats(0.001, 0.999))
def test_the_smaller_than_the_level_are_what_the_procedure_rejects(p: list[float], level: float) -> None:
    corrected = [value for value in holm(p) if value is not None]
    if all(abs(value - level) > 1e-9 for value in corrected):  # at the level itself, rounding decides
        assert {place for place, value in enumerate(corrected) if value <= level} == rejected(p, level)


@pytest.mark.parametrize("p", [-0.1, 1.1, float("nan")])
def test_other_numbers_are_refused(p: float) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        holm([0.5, p])
