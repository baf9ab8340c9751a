from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from easrec_nni.tabular import noise


def ranks(values: np.ndarray) -> np.ndarray:
    """Ranks from 1; equal values share their mean rank."""
    return np.array([np.mean([1 + sum(values < value), sum(values <= value)]) for value in values])


def spearman(first: np.ndarray, second: np.ndarray) -> float:
    return float(np.corrcoef(ranks(first), ranks(second))[0, 1])


def kendall(first: np.ndarray, second: np.ndarray) -> float:
    """Tau-b by its definition: concordant minus discordant pairs, over the pairs without ties."""
    pairs = list(combinations(range(len(first)), 2))
    signs = [(np.sign(first[i] - first[j]), np.sign(second[i] - second[j])) for i, j in pairs]
    untied = [sum(sign[part] != 0 for sign in signs) for part in (0, 1)]
    return float(sum(a * b for a, b in signs) / np.sqrt(untied[0] * untied[1]))


@pytest.mark.parametrize("seeds", [2, 3, 4, 5])
def test_the_ceiling_is_the_mean_over_all_halves(seeds: int) -> None:
    rng = np.random.default_rng(seeds)
    truth = rng.normal(size=(12, 1))
    valid, test = (np.round(truth + rng.normal(size=(12, seeds)), 1) for _ in range(2))
    ceiling = noise.noise_ceiling(valid, test)

    def mean(measure, one, other) -> float:
        found = []
        for first in combinations(range(seeds), seeds // 2):
            for second in combinations(range(seeds), seeds // 2):
                if not set(first) & set(second):  # ordered pairs: each split twice, which leaves a mean unchanged
                    found.append(measure(one[:, first].mean(1), other[:, second].mean(1)))
        return float(np.mean(found))

    for name, measure in (("spearman", spearman), ("kendall", kendall)):
        for part, one, other in (
            ("valid_halves", valid, valid),
            ("test_halves", test, test),
            ("valid_test_halves", valid, test),
        ):
            assert getattr(getattr(ceiling, part), name) == pytest.approx(mean(measure, one, other)), (part, name)
        assert getattr(ceiling.valid_test, name) == pytest.approx(measure(valid.mean(1), test.mean(1)))


def test_one_seed_has_no_halves_and_equal_architectures_no_correlation() -> None:
    values = np.arange(4.0)[:, None]
    ceiling = noise.noise_ceiling(values, values)
    assert ceiling.valid_halves is None and ceiling.valid_test_halves is None
    assert ceiling.valid_test.kendall == pytest.approx(1)
    assert noise.noise_ceiling(values, np.zeros((4, 1))).valid_test.spearman is None


def test_many_seeds_are_sampled_in_disjoint_equal_halves() -> None:
    for seeds in (10, 11, 30):
        halves = noise.seed_halves(seeds)
        assert all(len(first) == len(second) == seeds // 2 and not set(first) & set(second) for first, second in halves)
        assert len(halves) == (126 if seeds == 10 else noise.MOST_SPLITS)
