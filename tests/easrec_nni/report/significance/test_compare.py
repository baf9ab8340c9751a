"""When a star is given, and its rate of false positives."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from easrec_nni.report.significance import compare_systems, holm, paired_bootstrap, paired_test

SEEDS, USERS = 5, 80
Gains = dict[str, dict[int, np.ndarray]]


def gains_of(seed: int, effects: dict[str, float], *, of_seed: float = 0.01, of_user: float = 0.0) -> Gains:
    """Gains from user difficulty, effect of the system, and noise of trainings and users."""
    random = np.random.default_rng(seed)
    base = random.random(USERS)
    return {
        name: {
            turn: base + effect + affinity + random.normal(0, of_seed) + random.normal(0, 0.1, USERS)
            for turn in range(SEEDS)
        }
        for name, effect in effects.items()
        for affinity in [random.normal(0, of_user, USERS) if of_user else np.zeros(USERS)]
    }


def test_a_row_is_what_the_single_tests_say() -> None:
    gains = gains_of(0, {"ours": 0.1, "a": 0.05, "b": 0.0, "c": 0.08})
    rows = compare_systems("ours", gains, resamples=2000)
    assert [row.other for row in rows] == ["a", "b", "c"]
    stacked = {name: np.stack(list(of_seeds.values())) for name, of_seeds in gains.items()}
    tests = [paired_test(stacked["ours"].mean(1).tolist(), stacked[row.other].mean(1).tolist()) for row in rows]
    for row, test, p_holm in zip(rows, tests, holm([test.p_value for test in tests]), strict=True):
        assert (row.system, row.seeds, row.users) == ("ours", SEEDS, USERS)
        assert row.mean == pytest.approx(stacked["ours"].mean())
        assert row.other_mean == pytest.approx(stacked[row.other].mean())
        assert row.difference == pytest.approx(row.mean - row.other_mean)
        assert (row.p_value, row.p_holm, row.effect_size) == (test.p_value, p_holm, test.effect_size)
        assert row.seeds_interval == test.interval
        users = paired_bootstrap(stacked["ours"], stacked[row.other], resamples=2000)
        assert row.users_p_value == users.p_value
        assert row.users_interval is not None and users.interval is not None
        assert row.users_interval.low == pytest.approx(users.interval.low)
        assert row.relative_percent == pytest.approx(100 * row.difference / row.other_mean)
        assert row.relative_interval is not None and row.relative_interval.low < row.relative_percent
    assert all(row.p_value is not None and row.p_holm is not None and row.p_value <= row.p_holm for row in rows)


def test_the_star_stands_at_the_best_baseline_only() -> None:
    rows = compare_systems("ours", gains_of(1, {"a": 0.0, "ours": 0.3, "b": 0.1}), resamples=1000)
    assert {row.other: row.star for row in rows} == {"a": False, "b": True}
    assert all(row.p_holm is not None and row.p_holm < 0.05 for row in rows)


def test_who_is_not_the_best_has_no_star() -> None:
    rows = compare_systems("ours", gains_of(1, {"a": 0.0, "ours": 0.3, "b": 0.6}), resamples=1000)
    assert not any(row.star for row in rows)
    assert [row.difference > 0 for row in rows] == [True, False]
    assert all(row.p_holm is not None and row.p_holm < 0.05 for row in rows)  # clearly worse is no star, either


def few_users_carry_it(gains: Gains) -> Gains:
    """Systems that differ for one user only: significant over seeds, not over users."""
    other = {turn: user_gains.copy() for turn, user_gains in gains["a"].items()}
    for turn, user_gains in other.items():
        user_gains[7] += 40 + turn / 10
    return {"ours": other, "a": gains["a"]}


def one_training_carries_it(gains: Gains) -> Gains:
    """Better for every user in some trainings and worse in others: not significant over seeds."""
    worth = [0.9, -0.1, 0.4, -0.2, 0.5]
    return {"ours": {turn: user_gains + worth[turn] for turn, user_gains in gains["a"].items()}, "a": gains["a"]}


@pytest.mark.parametrize(
    ("change", "seeds_agree", "users_agree"),
    [(few_users_carry_it, True, False), (one_training_carries_it, False, True)],
)
def test_both_seeds_and_users_must_agree(
    change: Callable[[Gains], Gains], seeds_agree: bool, users_agree: bool
) -> None:
    [row] = compare_systems("ours", change(gains_of(2, {"a": 0.0})), resamples=1000)
    assert row.p_holm is not None and (row.p_holm < 0.05) is seeds_agree
    assert row.users_interval is not None and row.users_interval.excludes_zero is users_agree
    assert row.difference > 0 and not row.star


def test_correction_counts_all_comparisons() -> None:
    gains = gains_of(11, {"ours": 0.045, "a": 0.0}, of_seed=0.02)
    [alone] = compare_systems("ours", gains, resamples=1000)
    assert alone.star and alone.p_value is not None and 0.01 < alone.p_value < 0.05
    # Twenty more baselines, worse by an uncertain amount: each of them is another chance to be wrong.
    random = np.random.default_rng(1)
    more = {
        f"worse {n}": {turn: each - 0.02 + random.normal(0, 0.3) * (turn - 2) for turn, each in gains["a"].items()}
        for n in range(20)
    }
    rows = compare_systems("ours", {**gains, **more}, resamples=1000)
    assert rows[0].p_value == alone.p_value and not rows[0].star
    assert rows[0].p_holm is not None and rows[0].p_holm > 0.05


Null = Callable[[int], Gains]
TWINS = {"ours": 0.0, "a": 0.0}


@pytest.mark.parametrize(
    ("null", "seeds_alone"),
    [
        (lambda seed: gains_of(seed, TWINS), False),
        (lambda seed: gains_of(seed, TWINS, of_seed=0.3), False),
        # Alike over all users that there could be, not over these 80: more seeds would only make it worse.
        (lambda seed: gains_of(seed, TWINS, of_seed=0.0, of_user=0.5), True),
        # The best of six that are all alike, against the others.
        (lambda seed: best_first(gains_of(seed, {f"{n}": 0.0 for n in range(6)})), False),
    ],
    ids=["noise", "noise of trainings", "noise of users", "best of six"],
)
def test_equal_systems_have_a_star_in_less_than_one_of_twenty_studies(null: Null, seeds_alone: bool) -> None:
    studies, stars, by_seeds = 200, 0, 0
    for seed in range(studies):
        rows = compare_systems("ours", null(seed), resamples=200)
        stars += any(row.star for row in rows)
        closest = min(rows, key=lambda row: row.difference)
        by_seeds += closest.difference > 0 and closest.p_holm is not None and closest.p_holm < 0.05
    assert stars / studies < 0.05
    assert (by_seeds / studies > 0.2) is seeds_alone  # without the bootstrap there would be stars


def best_first(gains: Gains) -> Gains:
    best = max(gains, key=lambda name: np.mean(list(gains[name].values())))
    return {"ours": gains[best], **{name: gains[name] for name in gains if name != best}}


def test_a_clear_difference_has_a_star_nearly_always() -> None:
    stars = [
        compare_systems("ours", gains_of(seed, {"ours": 0.1, "a": 0.0}), resamples=200)[0].star for seed in range(40)
    ]
    assert np.mean(stars) > 0.9


def test_one_seed_has_no_star_however_large_the_difference() -> None:
    gains = {name: {0: of_seeds[0]} for name, of_seeds in gains_of(0, {"ours": 5.0, "a": 0.0}).items()}
    [row] = compare_systems("ours", gains, resamples=500)
    assert (row.seeds, row.p_value, row.p_holm, row.effect_size, row.seeds_interval) == (1, None, None, None, None)
    assert row.users_p_value == pytest.approx(2 / 501) and not row.star


def test_systems_without_randomness_have_no_test_and_do_not_count() -> None:
    users = np.random.default_rng(0).random(USERS)
    gains = {
        "knn": dict.fromkeys(range(SEEDS), users + 1),
        "popularity": dict.fromkeys(range(SEEDS), users),
        **gains_of(3, {"trained": 0.0}),
    }
    baseline, trained = compare_systems("knn", gains, resamples=500)
    assert (baseline.p_value, baseline.p_holm, baseline.star) == (None, None, False)
    assert trained.p_value is not None and trained.p_holm == trained.p_value


def test_only_common_seeds_are_compared() -> None:
    gains = gains_of(0, {"ours": 0.1, "a": 0.0, "b": 0.0})
    for seed in (0, 3):
        del gains["a"][seed]
    a, b = compare_systems("ours", gains, resamples=500)
    assert (a.seeds, b.seeds) == (3, 5)
    assert a.mean == pytest.approx(np.mean([gains["ours"][seed] for seed in (1, 2, 4)]))
    reordered = {"ours": gains["ours"], "a": dict(reversed(gains["a"].items()))}
    assert compare_systems("ours", reordered, resamples=500)[0].difference == a.difference


def test_a_system_alone_is_compared_with_nobody() -> None:
    assert compare_systems("ours", gains_of(0, {"ours": 0.0})) == []


def test_mistakes_are_refused() -> None:
    gains = gains_of(0, {"ours": 0.0, "a": 0.0})
    with pytest.raises(ValueError, match="no gains of 'theirs', only of ours, a"):
        compare_systems("theirs", gains)
    with pytest.raises(ValueError, match="no seed in common"):
        compare_systems("ours", {"ours": gains["ours"], "a": {99: gains["a"][0]}})
    with pytest.raises(ValueError, match=r"different users: \[79, 80\]"):
        compare_systems("ours", {"ours": gains["ours"], "a": {0: gains["a"][0][1:]}})
