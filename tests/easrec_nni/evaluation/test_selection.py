from __future__ import annotations

import numpy as np
import pytest

from easrec_nni.data import Dataset
from easrec_nni.evaluation.ranking import KNOWN_PROTOCOLS
from easrec_nni.evaluation.selection import MONITOR, validation_rows


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_users_that_train_and_users_that_select_are_a_partition(tiny_dataset: Dataset, share: float) -> None:
    train, select = validation_rows(tiny_dataset, share)
    users = len(tiny_dataset.split.test.users)
    assert sorted([*train.tolist(), *select.tolist()]) == list(range(users))
    assert len(train) == pytest.approx(share * users, abs=1) and len(select) > 0


def test_the_partition_depends_on_the_dataset_and_the_share_alone(tiny_dataset: Dataset) -> None:
    first = validation_rows(tiny_dataset, 0.5)
    np.random.seed(3)
    again = validation_rows(tiny_dataset, 0.5)
    assert all(np.array_equal(one, other) for one, other in zip(first, again, strict=True))
    smaller, _ = validation_rows(tiny_dataset, 0.3)
    assert set(smaller.tolist()) <= set(first[0].tolist()), "a larger share takes users, and gives none back"


def test_the_figure_that_decides_is_of_a_known_protocol() -> None:
    assert MONITOR.partition("_")[2] in KNOWN_PROTOCOLS
