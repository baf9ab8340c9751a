"""Training samples and batches against plain loops over the users."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from easrec_nni.data import Dataset, leave_one_out
from easrec_nni.data.batches.training import (
    ArchitectureBatches,
    EvaluationBatches,
    TrainingBatch,
    TrainingBatches,
    prefix_samples,
    windows,
)

DATASETS = pytest.mark.parametrize("name", ["tiny_dataset", "ml100k"])
Pieces = list[tuple[int, int]]


class Log:
    """As much of a dataset as samples are cut from."""

    def __init__(self, lengths: list[int]) -> None:
        self.offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        self.split = leave_one_out(self.offsets)
        self.items = np.arange(1, self.offsets[-1] + 1, dtype=np.int32)


def dataset_of(name: str, request: pytest.FixtureRequest) -> Dataset:
    dataset: Dataset = request.getfixturevalue(name)
    return dataset


def training_parts(dataset: Dataset | Log) -> Pieces:
    return [(int(begin), int(end)) for begin, end in zip(dataset.offsets[:-1], dataset.split.train_end, strict=True)]


def pieces_of(samples: tuple[np.ndarray, ...]) -> Pieces:
    return list(zip(samples[0].tolist(), samples[1].tolist(), strict=True))


def check_windows(dataset: Dataset | Log, max_length: int) -> None:
    pieces = pieces_of(windows(dataset, max_length))  # type: ignore[arg-type]
    # In a piece every position but the first is a target.
    targets = Counter(place for begin, end in pieces for place in range(begin + 1, end))
    wanted = [place for begin, end in training_parts(dataset) for place in range(begin + 1, end)]
    assert targets == Counter(wanted)
    owner = {place: user for user, (b, e) in enumerate(training_parts(dataset)) for place in range(b, e)}
    for begin, end in pieces:
        assert 2 <= end - begin <= max_length + 1
        assert owner[begin] == owner[end - 1]  # inside one user's training part: both places are in one
    # Cut from the newest end: of a user's pieces only the oldest may be shorter.
    by_user: dict[int, Pieces] = {}
    for begin, end in pieces:
        by_user.setdefault(owner[begin], []).append((begin, end))
    for user, mine in by_user.items():
        newest_first = sorted(mine, reverse=True)
        assert newest_first[0][1] == training_parts(dataset)[user][1]
        assert all(end - begin == max_length + 1 for begin, end in newest_first[:-1])
        # Neighbours share the item that is the last target of one and the first input of the other.
        assert all(later[0] == earlier[1] - 1 for later, earlier in zip(newest_first, newest_first[1:], strict=False))


@pytest.mark.parametrize("max_length", [1, 3, 5, 200])
@DATASETS
def test_every_training_interaction_but_the_first_is_a_target_once(
    name: str, max_length: int, request: pytest.FixtureRequest
) -> None:
    dataset = dataset_of(name, request)
    check_windows(dataset, max_length)
    # And so none of the held-out interactions is in a piece.
    used = {place for begin, end in pieces_of(windows(dataset, max_length)) for place in range(begin, end)}
    split = dataset.split
    assert used.isdisjoint(split.valid_target_index.tolist())
    assert used.isdisjoint(split.test_target_index.tolist())


@given(lengths=st.lists(st.integers(0, 14), min_size=1, max_size=8), max_length=st.integers(1, 6))
@settings(max_examples=100, deadline=None)
def test_windows_of_any_log(lengths: list[int], max_length: int) -> None:
    log = Log(lengths)
    check_windows(log, max_length)
    check_overlapping(log, max_length)
    # The newest piece of each user alone.
    newest = pieces_of(windows(log, max_length, history="newest"))  # type: ignore[arg-type]
    parts = [(begin, end) for begin, end in training_parts(log) if end - begin >= 2]
    assert newest == [(max(begin, end - max_length - 1), end) for begin, end in parts]


def check_overlapping(dataset: Dataset | Log, max_length: int) -> None:
    starts, ends, counts = windows(dataset, max_length, "overlapping")  # type: ignore[arg-type]
    expected = {
        place: begin for begin, end in training_parts(dataset) for place in range(begin + 1, end)
    }  # of each target, the user's first interaction
    found = []
    for start, end, count in zip(starts.tolist(), ends.tolist(), counts.tolist(), strict=True):
        assert 1 <= count < end - start <= max_length + 1
        for place in range(end - count, end):
            found.append(place)
            assert place - start >= min(place - expected[place], max_length // 2 + 1)
    assert sorted(found) == sorted(expected)


@pytest.mark.parametrize("max_length", [1, 2, 5, 50])
@DATASETS
def test_overlapping_pieces_give_each_target_half_of_the_window(
    name: str, max_length: int, request: pytest.FixtureRequest
) -> None:
    check_overlapping(dataset_of(name, request), max_length)


def test_only_what_is_new_in_an_overlapping_piece_is_a_target(tiny_dataset: Dataset) -> None:
    seen = []
    for batch in TrainingBatches(tiny_dataset, 4, 7, "causal", seed=0, history="overlapping"):
        assert padded_on_the_left(batch.ids)
        seen += batch.targets[batch.targets != 0].tolist()
    items = tiny_dataset.items
    assert sorted(seen) == sorted(
        int(item) for begin, end in training_parts(tiny_dataset) for item in items[begin + 1 : end]
    )


def check_prefixes(dataset: Dataset | Log, max_length: int) -> None:
    expected = []
    for begin, end in training_parts(dataset):
        for target in range(begin + 1, end):
            expected.append((max(begin, target - max_length), target + 1))
    assert pieces_of(prefix_samples(dataset, max_length)) == expected  # type: ignore[arg-type]


@pytest.mark.parametrize("max_length", [1, 4, 50])
@DATASETS
def test_every_prefix_is_a_sample(name: str, max_length: int, request: pytest.FixtureRequest) -> None:
    check_prefixes(dataset_of(name, request), max_length)


@given(lengths=st.lists(st.integers(0, 14), min_size=1, max_size=8), max_length=st.integers(1, 6))
@settings(max_examples=50, deadline=None)
def test_prefixes_of_any_log(lengths: list[int], max_length: int) -> None:
    check_prefixes(Log(lengths), max_length)


def padded_on_the_left(ids: Tensor) -> bool:
    """Whether no row has a padding after an item, no row is empty, and the longest has none."""
    real = (ids != 0).long()
    return bool((real.diff(dim=1) >= 0).all() and real[:, -1].all() and real.all(dim=1).any())


def rows_of(batch: TrainingBatch) -> list[tuple[list[int], list[int]]]:
    """Each sequence without its padding, with its targets."""
    rows = []
    for ids, targets in zip(batch.ids.tolist(), batch.targets.tolist(), strict=True):
        real = [i for i, item in enumerate(ids) if item]
        rows.append(([ids[i] for i in real], [targets[i] for i in real] if isinstance(targets, list) else [targets]))
    return rows


@pytest.mark.parametrize("history", ["all", "newest"])
@pytest.mark.parametrize("batch_size", [1, 7, 1000])
def test_causal_batches_are_the_windows(tiny_dataset: Dataset, batch_size: int, history: str) -> None:
    batches = TrainingBatches(tiny_dataset, 4, batch_size, "causal", seed=0, history=history)
    found = []
    count = 0
    for batch in batches:
        count += 1
        assert batch.ids.shape == batch.targets.shape and len(batch.ids) <= batch_size
        assert batch.ids.dtype == batch.targets.dtype == torch.int64
        assert padded_on_the_left(batch.ids)
        assert ((batch.ids != 0) == (batch.targets != 0)).all()
        found += rows_of(batch)
    assert count == len(batches)
    items = tiny_dataset.items
    pieces = pieces_of(windows(tiny_dataset, 4, history))
    expected = [(items[begin : end - 1].tolist(), items[begin + 1 : end].tolist()) for begin, end in pieces]
    assert sorted(found) == sorted(expected)


def test_augmented_batches_are_the_prefixes(tiny_dataset: Dataset) -> None:
    batches = TrainingBatches(tiny_dataset, 4, 16, "augmented", seed=0)
    found = []
    for batch in batches:
        assert batch.targets.shape == (len(batch.ids),)
        assert padded_on_the_left(batch.ids)
        found += rows_of(batch)
    items = tiny_dataset.items
    pieces = pieces_of(prefix_samples(tiny_dataset, 4))
    assert sorted(found) == sorted((items[begin : end - 1].tolist(), [int(items[end - 1])]) for begin, end in pieces)
    assert len(batches) == -(-len(pieces) // 16)


def epoch_of(batches: TrainingBatches | ArchitectureBatches, epoch: int) -> list[list[object]]:
    batches.set_epoch(epoch)
    return [[batch.ids.tolist(), batch.targets.tolist()] for batch in batches]


@pytest.mark.parametrize("mode", ["causal", "augmented"])
def test_order_depends_on_seed_and_epoch_only(tiny_dataset: Dataset, mode: str) -> None:
    one, other = (TrainingBatches(tiny_dataset, 4, 8, mode, seed=3) for _ in range(2))
    torch.manual_seed(0)
    np.random.seed(0)
    first = [epoch_of(one, epoch) for epoch in range(3)]
    # As after a kill: other random states, other epochs before.
    torch.manual_seed(1)
    np.random.seed(1)
    assert epoch_of(other, 2) == first[2]
    assert epoch_of(other, 0) == first[0]
    assert epoch_of(one, 1) == first[1]
    assert first[0] != first[1] != first[2]
    assert epoch_of(TrainingBatches(tiny_dataset, 4, 8, mode, seed=4), 0) not in first


def test_making_batches_leaves_random_states_alone(tiny_dataset: Dataset) -> None:
    torch.manual_seed(0)
    np.random.seed(0)
    torch_state, numpy_state = torch.get_rng_state(), np.random.get_state()[1].tolist()  # type: ignore[union-attr]
    epoch_of(TrainingBatches(tiny_dataset, 4, 8, "causal", seed=3), 0)
    epoch_of(ArchitectureBatches(tiny_dataset, 4, 8, np.arange(10), seed=3), 0)
    assert torch.equal(torch.get_rng_state(), torch_state)
    assert np.random.get_state()[1].tolist() == numpy_state  # type: ignore[union-attr]


def test_sequences_of_a_batch_are_of_similar_length(ml100k: Dataset) -> None:
    batches = TrainingBatches(ml100k, 50, 32, "causal", seed=0)
    padding = sum(int((batch.ids == 0).sum()) for batch in batches)
    assert padding / sum(batch.ids.numel() for batch in batches) < 0.05


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
            user = int(dataset.split.eval_users[row])
            log = dataset.items[dataset.offsets[user] : dataset.offsets[user + 1]].tolist()
            # The last interaction is the test target, the one before it the validation target, which then is history.
            history = log[:-2] if part == "valid" else log[:-1]
            assert target == (log[-2] if part == "valid" else log[-1])
            assert [item for item in ids if item] == history[-max_length:]
            seen.append(row)
    assert sorted(seen) == list(range(len(dataset.split.eval_users)))
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
    found = {
        row: (ids, target)
        for batch in EvaluationBatches(tiny_dataset, "valid", 5, 1, rows)
        for row, ids, target in zip(batch.rows.tolist(), batch.ids.tolist(), batch.targets.tolist(), strict=True)
    }
    assert found == {row: everyone[row] for row in (1, 3, 8, 17)}


def test_architecture_batches_are_validation_targets_of_their_rows(tiny_dataset: Dataset) -> None:
    rows = np.array([2, 5, 7, 11, 13, 20, 21])
    batches = ArchitectureBatches(tiny_dataset, 5, 3, rows, seed=0)
    found = []
    sizes = []
    for batch in batches:
        assert padded_on_the_left(batch.ids)
        sizes.append(len(batch.ids))
        found += rows_of(batch)
    assert sizes == [3, 3, 1] and len(batches) == 3
    expected = []
    for row in rows:
        user = int(tiny_dataset.split.eval_users[row])
        log = tiny_dataset.items[tiny_dataset.offsets[user] : tiny_dataset.offsets[user + 1]].tolist()
        expected.append((log[:-2][-5:], [log[-2]]))
    assert sorted(found) == sorted(expected)
    again = ArchitectureBatches(tiny_dataset, 5, 3, rows, seed=0)
    assert epoch_of(again, 4) == epoch_of(batches, 4) != epoch_of(batches, 5)
