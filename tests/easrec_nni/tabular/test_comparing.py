from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from easrec_nni.tabular.comparing import bootstrap_interval, compare_with_control


def test_the_interval_is_scipys_percentile_bootstrap() -> None:
    values = np.random.default_rng(0).exponential(size=12)
    found = bootstrap_interval(values.tolist())
    expected = stats.bootstrap((values,), np.mean, method="percentile", n_resamples=10_000, rng=1).confidence_interval
    assert found is not None
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), rel=0.02)
    assert bootstrap_interval([0.5]) is None
    constant = bootstrap_interval([0.25, 0.25])
    assert constant is not None and constant.low == constant.high == 0.25


def test_strategies_are_paired_with_the_control_by_seed() -> None:
    rng = np.random.default_rng(1)
    control = {seed: float(value) for seed, value in enumerate(rng.uniform(0.2, 0.4, size=10))}
    good = {seed: value - 0.1 - 0.01 * float(rng.normal()) for seed, value in control.items()}
    same = {seed: value + 0.1 * float(rng.normal()) for seed, value in control.items() if seed < 8}
    found = {row.label: row for row in compare_with_control({"random": control, "good": good, "same": same}, "random")}
    assert found["random"].test is None and found["random"].verdict == ""
    assert found["good"].verdict == "better" and found["same"].verdict == "undecided"
    expected = [stats.ttest_rel(list(good.values()), list(control.values())).pvalue]
    expected += [stats.ttest_rel(list(same.values()), [control[seed] for seed in same]).pvalue]
    assert [found[name].test.p_value for name in ("good", "same")] == pytest.approx(expected)
    assert found["good"].p_holm == pytest.approx(2 * expected[0]) and found["same"].test.n == 8
    reverse = compare_with_control({"random": good, "worse": control}, "random")
    assert reverse[1].verdict == "worse"


def test_without_the_control_there_is_no_test() -> None:
    (row,) = compare_with_control({"easrec": {0: 0.1, 1: 0.2}}, "random")
    assert row.test is None and row.mean == pytest.approx(0.15)
