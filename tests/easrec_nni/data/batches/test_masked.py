"""Masked batches: which items are hidden, and that nothing else about the sequences changes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from easrec_nni.data import Dataset
from easrec_nni.data.batches.masked import MaskedBatches
from easrec_nni.data.batches.padding import windows
from easrec_nni.data.batches.training import TrainingBatch
from easrec_nni.settings.trial import TrialSettings
from easrec_nni.training.context import TrialContext
from easrec_nni.training.losses import next_item_loss
from search_spaces import EASRecSpace, SpaceConfig


def make_batches(
    dataset: Dataset, max_length: int = 9, batch_size: int = 7, seed: int = 3, **options: float
) -> MaskedBatches:
    return MaskedBatches(dataset, max_length, batch_size, seed, **options)


def unmasked(batch: TrainingBatch) -> Tensor:
    """Sequences with their hidden items put back."""
    return torch.where(batch.targets != 0, batch.targets, batch.ids)


def epoch_of(batches: MaskedBatches, epoch: int) -> list[list[object]]:
    batches.set_epoch(epoch)
    return [[batch.ids.tolist(), batch.targets.tolist()] for batch in batches]


def masked_sequences(batches: MaskedBatches, epoch: int) -> set[tuple[int, ...]]:
    """Masked sequences of an epoch, without padding."""
    batches.set_epoch(epoch)
    return {tuple(item for item in row if item) for batch in batches for row in batch.ids.tolist()}


@pytest.mark.parametrize("history", ["all", "newest"])
@pytest.mark.parametrize("batch_size", [1, 7, 1000])
def test_sequences_are_the_causal_ones_with_their_last_target(
    tiny_dataset: Dataset, batch_size: int, history: str
) -> None:
    batches = MaskedBatches(tiny_dataset, 4, batch_size, seed=0, history=history)
    sequences = []
    for batch in batches:
        assert batch.ids.shape == batch.targets.shape and len(batch.ids) <= batch_size
        assert batch.ids.dtype == batch.targets.dtype == torch.int64
        assert batch.ids.shape[1] <= 5  # N and the one that is asked for
        sequences += [[item for item in row if item] for row in unmasked(batch).tolist()]
    pieces = zip(*windows(tiny_dataset, 4, history)[:2], strict=True)
    assert sorted(sequences) == sorted(tiny_dataset.items[begin:end].tolist() for begin, end in pieces)


@pytest.mark.parametrize("share", [0.05, 0.2, 0.6])
def test_a_share_of_each_sequence_is_masked_and_at_least_one_item(tiny_dataset: Dataset, share: float) -> None:
    mask = tiny_dataset.n_items + 1
    lengths = set()
    for batch in make_batches(tiny_dataset, share=share, newest_share=0):
        masked = batch.ids == mask
        # A target stands where the mask does, and nowhere else; padding is never masked.
        assert torch.equal(masked, batch.targets != 0)
        assert (batch.targets <= tiny_dataset.n_items).all()
        assert (unmasked(batch)[:, -1] != 0).all()
        for row, ids in zip(masked, batch.ids, strict=True):
            length = int((ids != 0).sum())
            assert int(row.sum()) == max(1, round(share * length))
            lengths.add(length)
    assert min(lengths) == 2 and max(lengths) == 10


def test_every_position_is_masked_alike() -> None:
    # Twenty positions, four of them masked, in 4000 sequences: each position 800 times, give or take five deviations.
    batches = MaskedBatches.__new__(MaskedBatches)
    batches.share, batches.newest_share = 0.2, 0.0
    real = np.ones((4000, 20), dtype=bool)
    real[:, :5] = np.arange(4000)[:, None] % 2 == 0
    masked = batches._choose(real, np.random.default_rng(0))
    assert not (masked & ~real).any()
    whole, padded = masked[::2].mean(axis=0), masked[1::2].mean(axis=0)
    deviation = (0.2 * 0.8 / 2000) ** 0.5
    assert np.abs(whole - 0.2).max() < 5 * deviation
    assert np.abs(padded[5:] - 0.2).max() < 5 * deviation  # three of fifteen
    assert masked[::2].sum(axis=1).tolist() == [4] * 2000 and masked[1::2].sum(axis=1).tolist() == [3] * 2000


@pytest.mark.parametrize("newest_share", [0.0, 0.5, 1.0])
def test_of_some_sequences_the_newest_item_alone_is_masked(ml100k: Dataset, newest_share: float) -> None:
    alone = total = 0
    for batch in MaskedBatches(ml100k, 50, 64, seed=0, share=0.2, newest_share=newest_share):
        long = (batch.ids != 0).sum(1) >= 10  # of which two or more would be masked
        masked = (batch.targets != 0)[long]
        alone += int((masked[:, -1] & (masked.sum(1) == 1)).sum())
        total += len(masked)
    assert total > 1000
    assert alone / total == pytest.approx(newest_share, abs=5 * (0.25 / total) ** 0.5)
    if newest_share in (0, 1):
        assert alone == newest_share * total


def test_masks_depend_on_seed_and_epoch_only(tiny_dataset: Dataset) -> None:
    one, other = make_batches(tiny_dataset), make_batches(tiny_dataset)
    torch.manual_seed(0)
    np.random.seed(0)
    states = torch.get_rng_state(), np.random.get_state()[1].tolist()  # type: ignore[union-attr]
    first = [epoch_of(one, epoch) for epoch in range(3)]
    assert torch.equal(torch.get_rng_state(), states[0])
    assert np.random.get_state()[1].tolist() == states[1]  # type: ignore[union-attr]
    # As after a kill: other random states, other epochs before.
    torch.manual_seed(1)
    np.random.seed(1)
    assert epoch_of(other, 2) == first[2]
    assert epoch_of(other, 0) == first[0]
    assert first[0] != first[1] != first[2]
    assert epoch_of(make_batches(tiny_dataset, seed=4), 0) not in first
    # The same sequences are masked anew in another epoch, not merely met in another order.
    assert len(masked_sequences(one, 0) & masked_sequences(one, 1)) < len(masked_sequences(one, 0)) / 2


def test_settings_choose_masked_batches_and_how_much_is_masked(tiny_dataset: Dataset) -> None:
    settings = TrialSettings(
        data="tiny",
        mode="masked",
        history="newest",
        batch_by="sequences",
        seed=6,
        masking={"share": 0.4, "newest_share": 0.25},
    )
    context = TrialContext(settings, tiny_dataset, SpaceConfig(n_items=tiny_dataset.n_items, max_length=9))
    batches = context.training_batches(8)
    expected = MaskedBatches(tiny_dataset, 9, 8, 6, "newest", share=0.4, newest_share=0.25)
    assert isinstance(batches, MaskedBatches)
    assert epoch_of(batches, 1) == epoch_of(expected, 1)
    assert context.identity("retrain")["masking"] == {"share": 0.4, "newest_share": 0.25}
    # Runs of other modes are the same ones as before there were masks.
    causal = replace(context, settings=settings.model_copy(update={"mode": "causal"}))
    assert "masking" not in causal.identity("retrain")


def test_loss_is_the_cross_entropy_at_the_masked_positions(tiny_dataset: Dataset) -> None:
    torch.manual_seed(0)
    sizes = {"max_length": 9, "hidden": 8, "inner": 16, "heads": 2, "layers": 1}
    config = SpaceConfig(n_items=tiny_dataset.n_items, objective="masked", direction="bidirectional", **sizes)
    network = EASRecSpace(config).freeze(config.largest).eval().double()
    batch = next(iter(make_batches(tiny_dataset)))
    scores = network.score(network.states(batch.ids))
    terms = [
        -scores[row, t, 1:].log_softmax(0)[batch.targets[row, t] - 1]
        for row, t in (batch.targets != 0).nonzero().tolist()
    ]
    assert len(terms) > len(batch.ids)
    loss = next_item_loss(network, batch)
    torch.testing.assert_close(loss, torch.stack(terms).mean(), rtol=1e-10, atol=0)
    loss.backward()
    gradient = network.embedding.items.weight.grad
    assert gradient is not None and gradient[config.mask_token].abs().max() > 0  # the mask's own embedding learns
