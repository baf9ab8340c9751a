"""Training batches against the samples they are cut from."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from easrec_nni.data import Dataset
from easrec_nni.data.batches import training
from easrec_nni.data.batches.evaluation import ArchitectureBatches
from easrec_nni.data.batches.padding import prefix_samples, windows
from easrec_nni.data.batches.training import TrainingBatches
from tests.easrec_nni.data.batches.parts import epoch_of, padded_on_the_left, pieces_of, rows_of, training_parts


def test_only_what_is_new_in_an_overlapping_piece_is_a_target(tiny_dataset: Dataset) -> None:
    seen = []
    for batch in TrainingBatches(tiny_dataset, 4, 7, "causal", seed=0, history="overlapping"):
        assert padded_on_the_left(batch.ids)
        seen += batch.targets[batch.targets != 0].tolist()
    items = tiny_dataset.items
    assert sorted(seen) == sorted(
        int(item) for begin, end in training_parts(tiny_dataset) for item in items[begin + 1 : end]
    )


@pytest.mark.parametrize("history", ["all", "newest"])
@pytest.mark.parametrize("batch_size", [1, 7, 1000])
def test_causal_batches_are_the_windows(tiny_dataset: Dataset, batch_size: int, history: str) -> None:
    batches = TrainingBatches(tiny_dataset, 4, batch_size, "causal", seed=0, history=history)
    rows = []
    count = 0
    for batch in batches:
        count += 1
        assert batch.ids.shape == batch.targets.shape and len(batch.ids) <= batch_size
        assert batch.ids.dtype == batch.targets.dtype == torch.int64
        assert padded_on_the_left(batch.ids)
        assert ((batch.ids != 0) == (batch.targets != 0)).all()
        rows += rows_of(batch)
    assert count == len(batches)
    items = tiny_dataset.items
    pieces = pieces_of(windows(tiny_dataset, 4, history))
    expected = [(items[begin : end - 1].tolist(), items[begin + 1 : end].tolist()) for begin, end in pieces]
    assert sorted(rows) == sorted(expected)


def test_augmented_batches_are_the_prefixes(tiny_dataset: Dataset) -> None:
    batches = TrainingBatches(tiny_dataset, 4, 16, "augmented", seed=0)
    rows = []
    for batch in batches:
        assert batch.targets.shape == (len(batch.ids),)
        assert padded_on_the_left(batch.ids)
        rows += rows_of(batch)
    items = tiny_dataset.items
    pieces = pieces_of(prefix_samples(tiny_dataset, 4))
    assert sorted(rows) == sorted((items[begin : end - 1].tolist(), [int(items[end - 1])]) for begin, end in pieces)
    assert len(batches) == -(-len(pieces) // 16)


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


@pytest.mark.parametrize("batch_by", ["sequences", "targets"])
@pytest.mark.parametrize("mode", ["causal", "augmented"])
def test_batches_come_in_a_random_order_of_pools_that_are_sorted(
    tiny_dataset: Dataset, monkeypatch: pytest.MonkeyPatch, mode: str, batch_by: str
) -> None:
    """Seeds keep the order of earlier versions, which sorted all pools before an epoch."""
    monkeypatch.setattr(training, "POOL_BATCHES", 3)
    batches = TrainingBatches(tiny_dataset, 5, 4, mode, seed=7, batch_by=batch_by)  # type: ignore[arg-type]
    batches.set_epoch(2)
    random = np.random.default_rng((7, 2))
    order = random.permutation(len(batches.samples.starts))
    lengths, expected = batches.samples.ends - batches.samples.starts, []
    for begin in range(0, len(order), 12):
        pool = np.array(sorted(order[begin : begin + 12].tolist(), key=lengths.__getitem__))
        expected.extend(np.split(pool, batches._cuts(pool)))
    batch_numbers = list(batches._sample_numbers(np.random.default_rng((7, 2))))
    assert len(batch_numbers) == len(expected) == len(batches)
    for numbers, wanted in zip(batch_numbers, random.permutation(len(expected)), strict=True):
        assert numbers.tolist() == expected[wanted].tolist()


@pytest.mark.parametrize("mode", ["causal", "augmented"])
@pytest.mark.parametrize("history", ["all", "newest", "overlapping"])
def test_places_lead_to_the_targets(tiny_dataset: Dataset, mode: str, history: str) -> None:
    if mode == "augmented" and history != "all":
        return
    seen: list[int] = []
    for batch in TrainingBatches(tiny_dataset, 4, 7, mode, seed=0, history=history):
        real = batch.targets != 0
        assert batch.places is not None and batch.places.shape == batch.targets.shape
        places = batch.places[real].numpy()
        assert (tiny_dataset.items[places] == batch.targets[real].numpy()).all()
        seen += places.tolist()
    assert len(set(seen)) == len(seen), "a place is a target once in an epoch"


def test_rows_of_a_batch_keep_all_that_belongs_to_them(tiny_dataset: Dataset) -> None:
    batch = next(iter(TrainingBatches(tiny_dataset, 4, 7, "causal", seed=0)))
    part = batch.of_rows(slice(1, None, 2), first=1)
    assert part.places is not None and batch.places is not None
    for whole, cut in ((batch.ids, part.ids), (batch.targets, part.targets), (batch.places, part.places)):
        assert torch.equal(cut, whole[1::2, 1:])
    newest = next(iter(TrainingBatches(tiny_dataset, 4, 7, "augmented", seed=0)))
    part = newest.of_rows(slice(2, 5), first=1)
    assert newest.places is not None and part.places is not None
    assert torch.equal(part.places, newest.places[2:5]) and torch.equal(part.targets, newest.targets[2:5])
