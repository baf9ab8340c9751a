"""Lengths of histories before the test targets, against a loop over the users."""

from __future__ import annotations

from collections import Counter

import pytest

from easrec_nni.architecture.history_lengths import HistoryLengths
from easrec_nni.data.batches.evaluation import EvaluationBatches
from easrec_nni.data.dataset import Dataset


@pytest.mark.parametrize("longest", [1, 6, 100])
def test_they_are_those_of_the_users_that_are_tested(longest: int, tiny_dataset: Dataset) -> None:
    counts: Counter[int] = Counter()
    for batch in EvaluationBatches(tiny_dataset, "test", longest, 7):
        counts.update((batch.ids != 0).sum(dim=1).tolist())
    found = HistoryLengths.of(tiny_dataset, longest)
    assert found is not None
    assert found.users_by_length == tuple(sorted(counts.items()))
    assert found.users == 40 == tiny_dataset.n_users
    assert found.mean == pytest.approx(sum(length * users for length, users in counts.items()) / 40)


def test_without_test_targets_there_are_none(tiny_dataset: Dataset) -> None:
    assert HistoryLengths.of(tiny_dataset.trained_through("test"), 6) is None
