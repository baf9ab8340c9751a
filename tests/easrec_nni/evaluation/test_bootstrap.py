"""Bootstrap over users compared with scipy and with enumeration, and edge cases."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from easrec_nni.evaluation import bootstrap
from easrec_nni.evaluation.bootstrap import Interval, paired_bootstrap, paired_bootstraps
from easrec_nni.evaluation.metrics import standard_error, user_gains


def gains_of(seed: int, users: int = 300) -> tuple[np.ndarray, np.ndarray]:
    """NDCG gains of two systems that agree on many users."""
    random = np.random.default_rng(seed)
    ranks = random.integers(1, 40, users)
    others = np.where(random.random(users) < 0.5, ranks, random.integers(1, 45, users))
    return user_gains(ranks, "ndcg", 10), user_gains(others, "ndcg", 10)


def test_interval_is_near_scipys() -> None:
    one, other = gains_of(0)
    expected = stats.bootstrap(
        (one, other),
        lambda a, b, axis: a.mean(axis) - b.mean(axis),
        paired=True,
        method="percentile",
        n_resamples=20_000,
        rng=np.random.default_rng(0),
    ).confidence_interval
    result = paired_bootstrap(one, other, resamples=20_000)
    assert result.users == 300
    assert result.difference == pytest.approx(one.mean() - other.mean())
    assert result.interval is not None
    assert result.interval.low == pytest.approx(expected.low, abs=1.5e-3)
    assert result.interval.high == pytest.approx(expected.high, abs=1.5e-3)
    half = (result.interval.high - result.interval.low) / 2
    assert half == pytest.approx(1.96 * (standard_error(one - other) or 0), rel=0.05)


def test_relative_interval_is_near_scipys() -> None:
    one, other = gains_of(2)
    expected = stats.bootstrap(
        (one, other),
        lambda a, b, axis: 100 * (a.mean(axis) / b.mean(axis) - 1),
        paired=True,
        method="percentile",
        n_resamples=20_000,
        rng=np.random.default_rng(0),
    ).confidence_interval
    result = paired_bootstrap(one, other, resamples=20_000)
    assert result.relative_percent == pytest.approx(100 * (one.mean() / other.mean() - 1))
    assert result.relative_interval is not None
    assert result.relative_interval.low == pytest.approx(expected.low, abs=1.5)
    assert result.relative_interval.high == pytest.approx(expected.high, abs=1.5)


def test_p_value_is_that_of_all_draws() -> None:
    differences = np.array([0.5, -0.2, 0.3, 0.1])
    draws = np.array([sum(drawn) for drawn in product(differences, repeat=4)])
    exact = 2 * min((draws <= 1e-12).mean(), (draws >= -1e-12).mean())
    result = paired_bootstrap(differences + 0.3, np.full(4, 0.3), resamples=40_000)
    assert result.p_value == pytest.approx(exact, abs=0.01)
    assert 0.02 < exact < 0.3


def test_pairs_matter() -> None:
    one = np.random.default_rng(0).random(200)
    paired, shuffled = paired_bootstrap(one + 0.01, one), paired_bootstrap(one + 0.01, np.sort(one))
    assert paired.p_value == pytest.approx(2 / 10_001)
    assert shuffled.p_value is not None and shuffled.p_value > 0.5


def test_draws_are_seeded_and_the_same_for_all_pairs(monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = gains_of(0)
    single = paired_bootstrap(one, other, resamples=500)
    assert paired_bootstrap(one, other, resamples=500) == single
    assert paired_bootstrap(one, other, resamples=500, seed=1).interval != single.interval
    many = paired_bootstraps([(one, one), (one, other), (other, one)], resamples=500)
    for interval, expected in (
        (many[1].interval, single.interval),
        (many[1].relative_interval, single.relative_interval),
    ):
        assert interval is not None and expected is not None
        assert (interval.low, interval.high) == pytest.approx((expected.low, expected.high), abs=1e-12)
    monkeypatch.setattr(bootstrap, "LARGEST_BLOCK", 1000)  # blocks of 3 draws
    again = paired_bootstrap(one, other, resamples=500).interval
    assert again is not None and single.interval is not None
    assert (again.low, again.high) == pytest.approx((single.interval.low, single.interval.high), abs=1e-12)


def test_gains_of_several_seeds_are_averaged_for_each_user() -> None:
    one, other = gains_of(0)
    more, _ = gains_of(5)
    result = paired_bootstrap(np.stack([one, more]), other, resamples=200)
    assert result == paired_bootstrap((one + more) / 2, other, resamples=200)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=2, max_size=30))
def test_swapping_the_systems_turns_the_sign(pairs: list[tuple[float, float]]) -> None:
    one, other = (np.array(side) for side in zip(*pairs, strict=True))
    result, swapped = paired_bootstrap(one, other, resamples=300), paired_bootstrap(other, one, resamples=300)
    assert result.difference == -swapped.difference
    assert result.p_value is not None and 0 < result.p_value <= 1
    assert result.p_value == swapped.p_value
    assert result.interval is not None and swapped.interval is not None
    assert result.interval.low == pytest.approx(-swapped.interval.high, abs=1e-12)
    assert result.interval.low <= result.interval.high
    for interval in (result.relative_interval, swapped.relative_interval):
        assert interval is None or (math.isfinite(interval.low) and interval.low <= interval.high < math.inf)
    if result.interval.excludes_zero:
        assert result.p_value < 0.06  # 0.05, and what 300 draws cannot resolve


def test_equal_systems_do_not_differ_at_all() -> None:
    one, _ = gains_of(3)
    result = paired_bootstraps([(one, one)] * 7)[6]
    assert (result.difference, result.interval, result.p_value) == (0.0, Interval(0.0, 0.0), 1.0)
    assert (result.relative_percent, result.relative_interval) == (0.0, Interval(0.0, 0.0))


def test_a_single_user_cannot_tell() -> None:
    result = paired_bootstrap(np.array([1.0]), np.array([0.5]))
    assert (result.users, result.difference, result.interval, result.p_value) == (1, 0.5, None, None)
    assert (result.relative_percent, result.relative_interval) == (100.0, None)


def test_nothing_is_in_percent_of_zero() -> None:
    result = paired_bootstrap(np.array([0.5, 1.0]), np.zeros(2))
    assert (result.relative_percent, result.relative_interval) == (None, None)
    few = paired_bootstrap(np.array([0.5, 1.0]), np.array([0.0, 1.0]))  # some draws have the first user alone
    assert few.relative_percent == 50.0 and few.relative_interval is None


def test_mistakes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"gains of \[2, 3\] users"):
        paired_bootstrap(np.zeros(2), np.zeros(3))
    with pytest.raises(ValueError, match="resamples is 0"):
        paired_bootstrap(np.zeros(2), np.zeros(2), resamples=0)
    for bad in (np.array([]), np.array([0.1, math.nan]), np.zeros((2, 2, 2))):
        with pytest.raises(ValueError, match="gains must be finite numbers"):
            paired_bootstrap(bad, bad)
    assert paired_bootstraps([]) == []
