"""Batches of evaluated users, and of validation targets, against plain loops over the users."""

from __future__ import annotations

import numpy as np
import pytest

from easrec_nni.data import Dataset
from easrec_nni.data.batches.evaluation import ArchitectureBatches, EvaluationBatches
from tests.easrec_nni.data.batches.parts import DATASETS, dataset_of, epoch_of, padded_on_the_left, rows_of


@pytest.mark.parametrize("part", ["valid", "test"])
@pytest.mark.parametrize("max_length, batch_size", [(1, 7), (5, 7), (5, 1), (100, 256)])
@DATASETS
def test_evaluation_histories_end_right_before_the_target(
    name: str, part: str, max_length: int, batch_size: int, request: pytest.FixtureRequest
) -> None:
    dataset = dataset_of(name, request)
    if name == "ml100k" and batch_size == 1:
        batch_size = 64  # 943 batches of one user show nothing that 40 do not
    batches = EvaluationBatches(dataset, part, max_length, batch_size)
    seen: list[int] = []
    for batch in batches:
        assert padded_on_the_left(batch.ids)
        assert len(batch.rows) == len(batch.ids) == len(batch.targets) <= batch_size
        for row, ids, target in zip(batch.rows.tolist(), batch.ids.tolist(), batch.targets.tolist(), strict=True):
            user = int(dataset.split.test.users[row])
            log = dataset.items[dataset.offsets[user] : dataset.offsets[user + 1]].tolist()
            # The last interaction is the test target, the one before it the validation target, which then is history.
            history = log[:-2] if part == "valid" else log[:-1]
            assert target == (log[-2] if part == "valid" else log[-1])
            assert [item for item in ids if item] == history[-max_length:]
            seen.append(row)
    assert sorted(seen) == list(range(len(dataset.split.test.users)))
    assert len(batches) == -(-len(seen) // batch_size)


def test_the_validation_target_is_the_newest_item_of_a_test_history(tiny_dataset: Dataset) -> None:
    valid = {
        row: target
        for batch in EvaluationBatches(tiny_dataset, "valid", 5, 8)
        for row, target in zip(batch.rows.tolist(), batch.targets.tolist(), strict=True)
    }
    for batch in EvaluationBatches(tiny_dataset, "test", 5, 8):
        assert batch.ids[:, -1].tolist() == [valid[row] for row in batch.rows.tolist()]


def test_rows_can_be_chosen(tiny_dataset: Dataset) -> None:
    rows = np.array([3, 1, 17, 8])
    everyone = {
        row: (ids, target)
        for batch in EvaluationBatches(tiny_dataset, "valid", 5, 1)
        for row, ids, target in zip(batch.rows.tolist(), batch.ids.tolist(), batch.targets.tolist(), strict=True)
    }
    histories = {
        row: (ids, target)
        for batch in EvaluationBatches(tiny_dataset, "valid", 5, 1, rows)
        for row, ids, target in zip(batch.rows.tolist(), batch.ids.tolist(), batch.targets.tolist(), strict=True)
    }
    assert histories == {row: everyone[row] for row in (1, 3, 8, 17)}


def test_architecture_batches_are_validation_targets_of_their_rows(tiny_dataset: Dataset) -> None:
    rows = np.array([2, 5, 7, 11, 13, 20, 21])
    batches = ArchitectureBatches(tiny_dataset, 5, 3, rows, seed=0)
    sequences = []
    sizes = []
    for batch in batches:
        assert padded_on_the_left(batch.ids)
        sizes.append(len(batch.ids))
        sequences += rows_of(batch)
    assert sizes == [3, 3, 1] and len(batches) == 3
    expected = []
    for row in rows:
        user = int(tiny_dataset.split.test.users[row])
        log = tiny_dataset.items[tiny_dataset.offsets[user] : tiny_dataset.offsets[user + 1]].tolist()
        expected.append((log[:-2][-5:], [log[-2]]))
    assert sorted(sequences) == sorted(expected)
    again = ArchitectureBatches(tiny_dataset, 5, 3, rows, seed=0)
    assert epoch_of(again, 4) == epoch_of(batches, 4) != epoch_of(batches, 5)
