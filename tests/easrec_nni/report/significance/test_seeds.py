"""Statistics over seeds compared with scipy, and degenerate cases."""

from __future__ import annotations

import math
import statistics

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import stats

from easrec_nni.report.significance import Interval, PairedTest, Summary, paired_test, summarise

# Shares of users have no more digits; differences of 1e-291 would only test where squares become zero.
shares = st.floats(0, 1).map(lambda share: round(share, 12))
figures = st.lists(st.tuples(shares, shares), min_size=2, max_size=8)


@pytest.mark.parametrize("confidence", [0.9, 0.95])
def test_summary_is_scipys(confidence: float) -> None:
    values = [0.101, 0.097, 0.110, 0.093, 0.1]
    result = summarise(values, confidence)
    low, high = stats.t.interval(confidence, 4, loc=statistics.mean(values), scale=stats.sem(values))
    assert (result.n, result.mean, result.sd) == (5, pytest.approx(0.1002), pytest.approx(statistics.stdev(values)))
    assert result.interval is not None
    assert (result.interval.low, result.interval.high) == (pytest.approx(low), pytest.approx(high))


@pytest.mark.parametrize("confidence", [0.9, 0.95])
def test_paired_test_is_scipys(confidence: float) -> None:
    one, other = [0.12, 0.11, 0.14, 0.12, 0.13], [0.11, 0.115, 0.12, 0.1, 0.125]
    expected = stats.ttest_rel(one, other)
    differences = [a - b for a, b in zip(one, other, strict=True)]
    result = paired_test(one, other, confidence)
    assert result.n == 5
    assert result.p_value == pytest.approx(expected.pvalue)
    assert result.difference == pytest.approx(statistics.mean(differences))
    assert result.effect_size == pytest.approx(statistics.mean(differences) / statistics.stdev(differences))
    assert result.effect_size == pytest.approx(expected.statistic / math.sqrt(5))
    limits = expected.confidence_interval(confidence)
    assert result.interval is not None
    assert (result.interval.low, result.interval.high) == pytest.approx((limits.low, limits.high))


def test_pairs_matter() -> None:
    one, other = [0.10, 0.20, 0.30], [0.09, 0.18, 0.28]
    paired, shuffled = paired_test(one, other).p_value, paired_test(one, other[::-1]).p_value
    assert paired is not None and shuffled is not None
    assert paired < 0.05 < shuffled


@settings(deadline=None)
@given(figures)
def test_swapping_the_systems_turns_the_sign(pairs: list[tuple[float, float]]) -> None:
    one, other = map(list, zip(*pairs, strict=True))
    result, swapped = paired_test(one, other), paired_test(other, one)
    assert result.difference == pytest.approx(-swapped.difference)
    assert result.p_value is None or 0 <= result.p_value <= 1
    assert (result.p_value is None) == (swapped.p_value is None)
    assert result.p_value is None or result.p_value == pytest.approx(swapped.p_value)
    assume(result.interval is not None and swapped.interval is not None)
    assert result.interval is not None and swapped.interval is not None
    assert result.interval.low == pytest.approx(-swapped.interval.high)
    assert result.interval.low <= result.difference <= result.interval.high
    assert result.effect_size == pytest.approx(-(swapped.effect_size or 0))


@settings(deadline=None)
@given(figures)
def test_the_interval_and_the_p_value_agree(pairs: list[tuple[float, float]]) -> None:
    one, other = map(list, zip(*pairs, strict=True))
    result = paired_test(one, other)
    assume(result.p_value is not None and result.interval is not None and abs(result.p_value - 0.05) > 1e-6)
    assert result.p_value is not None and result.interval is not None
    assert (result.p_value < 0.05) == result.interval.excludes_zero


@settings(deadline=None)
@given(st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=8))
def test_nothing_is_nan(values: list[float]) -> None:
    summary, itself = summarise(values), paired_test(values, values)
    assert math.isfinite(summary.mean)
    assert summary.sd is None or (math.isfinite(summary.sd) and summary.sd >= 0)
    assert summary.interval is None or summary.interval.low <= summary.mean <= summary.interval.high
    assert itself.difference == 0
    assert itself.p_value == (1.0 if len(values) > 1 else None)


def test_one_seed_has_no_spread() -> None:
    assert summarise([0.3]) == Summary(1, 0.3, None, None)
    assert paired_test([0.3], [0.1]) == PairedTest(1, pytest.approx(0.2), None, None, None)
    assert paired_test([0.3], [0.3]) == PairedTest(1, 0.0, None, None, None)


def test_the_same_in_every_seed() -> None:
    assert summarise([0.3, 0.3, 0.3]) == Summary(3, pytest.approx(0.3), 0.0, Interval(0.3, 0.3))
    assert paired_test([0.3, 0.1], [0.3, 0.1]) == PairedTest(2, 0.0, Interval(0.0, 0.0), 1.0, 0.0)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ([0.3, 0.3, 0.3], [0.2, 0.2, 0.2]),  # no randomness at all
        ([0.3, 0.2, 0.7], [0.2, 0.1, 0.6]),  # equal but for rounding: a t-test would find p < 1e-30
    ],
)
def test_seeds_that_always_differ_alike_cannot_tell(one: list[float], other: list[float]) -> None:
    assert paired_test(one, other) == PairedTest(3, pytest.approx(0.1), None, None, None)


@pytest.mark.parametrize("values", [[], [0.1, math.nan], [math.inf], [[0.1, 0.2]]])
def test_other_values_are_refused(values: list[float]) -> None:
    with pytest.raises(ValueError, match="finite numbers"):
        summarise(values)
    with pytest.raises(ValueError, match="finite numbers"):
        paired_test(values, values)


def test_seeds_without_a_partner_are_refused() -> None:
    with pytest.raises(ValueError, match="in pairs, but there are 2 and 3"):
        paired_test([0.1, 0.2], [0.1, 0.2, 0.3])


@pytest.mark.parametrize(
    ("low", "high", "excludes"),
    [(0.1, 0.2, True), (-0.2, -0.1, True), (-0.1, 0.1, False), (0, 0.1, False), (-1, 0, False)],
)
def test_an_interval_that_touches_zero_does_not_exclude_it(low: float, high: float, excludes: bool) -> None:
    assert Interval(low, high).excludes_zero is excludes
