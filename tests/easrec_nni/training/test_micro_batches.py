from __future__ import annotations

import weakref

import pytest
import torch
from torch import Tensor

import easrec_nni.training.micro_batches as micro_batches
from easrec_nni.data.batches.training import TrainingBatch
from easrec_nni.training.losses import make_loss, next_item_loss
from easrec_nni.training.micro_batches import loss_in_parts, parts_of
from search_spaces import EASRecSpace, SpaceConfig
from strategies.selection import Selection
from strategies.supernet import space_choices, wrap

SIZES = {"n_items": 30, "max_length": 8, "hidden": 8, "inner": 16, "heads": 2, "layers": 2, "dropout": 0.0}


def causal_batch(rows: int = 7, length: int = 8, seed: int = 0) -> TrainingBatch:
    """Batch of left-padded sequences of 1 to ``length`` items, with the next item as target."""
    random = torch.Generator().manual_seed(seed)
    ids = torch.randint(1, 31, (rows, length), generator=random)
    targets = torch.randint(1, 31, (rows, length), generator=random)
    for row in range(rows):
        padding = row * 3 % length
        ids[row, :padding], targets[row, :padding] = 0, 0
    return TrainingBatch(ids, targets)


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shrink parts to two or three sequences."""
    monkeypatch.setattr(micro_batches, "CACHED_VALUES", 16 * 16)


def test_a_small_batch_is_left_whole() -> None:
    batch = causal_batch()
    (part,) = parts_of(batch, 16)
    assert part.batch is batch and part.share == 1.0


@pytest.mark.parametrize("newest", [False, True])
def test_parts_have_every_sequence_once_and_few_positions(small_parts: None, newest: bool) -> None:
    batch = causal_batch()
    if newest:
        batch = TrainingBatch(batch.ids, batch.targets[:, -1])
    parts = parts_of(batch, 16)
    assert len(parts) >= 3
    assert sum(share for _, share in parts) == pytest.approx(1.0)
    rows = [row[row != 0].tolist() for part, _ in parts for row in part.ids]
    assert rows == [row[row != 0].tolist() for row in batch.ids]
    kept = torch.cat([part.targets[part.targets != 0] for part, _ in parts])
    assert kept.tolist() == batch.targets[batch.targets != 0].tolist()
    for part, share in parts:
        assert len(part.ids) == 1 or part.ids.numel() <= 16
        assert (part.ids[:, 0] != 0).any(), "no column of padding alone"
        assert share == pytest.approx(int((part.targets != 0).sum()) / int((batch.targets != 0).sum()))


def test_sequences_without_targets_do_not_disturb(small_parts: None) -> None:
    batch = causal_batch()
    batch.targets[:5] = 0
    parts = parts_of(batch, 16)
    assert sum(len(part.ids) for part, _ in parts) < len(batch.ids)
    assert sum(share for _, share in parts) == pytest.approx(1.0)
    batch.targets[:] = 0
    assert len(parts_of(batch, 16)) == 1, "a batch without any target is somebody else's mistake to find"


@pytest.mark.parametrize("newest", [False, True])
def test_loss_and_gradients_are_those_of_the_whole_batch(small_parts: None, newest: bool) -> None:
    torch.manual_seed(0)
    space = EASRecSpace(SpaceConfig(**SIZES)).double()
    network = space.freeze(space.config.largest)
    batch = causal_batch()
    if newest:
        batch = TrainingBatch(batch.ids, batch.targets[:, -1])
    results = []
    for parts in ([micro_batches.BatchPart(batch, 1.0)], parts_of(batch, 16)):
        network.zero_grad()
        loss = loss_in_parts(lambda part: next_item_loss(network, part), parts)
        (2 * loss).backward()  # the factor sees that an outer gradient is handed on
        results.append((loss.item(), {name: weight.grad for name, weight in network.named_parameters()}))
    (whole, expected), (value, gradients) = results
    assert value == pytest.approx(whole, rel=1e-12)
    assert len(expected) > 10
    for name, gradient in expected.items():
        assert gradient is not None and torch.allclose(gradients[name], gradient, rtol=1e-9, atol=1e-12), name


@pytest.mark.parametrize("name", ["sampled_softmax", "gbce"])
def test_parts_share_the_batchs_negatives_and_its_weight(small_parts: None, name: str) -> None:
    torch.manual_seed(0)
    network = EASRecSpace(SpaceConfig(**SIZES)).double().eval()
    batch = causal_batch()._replace(negatives=torch.tensor([3, 9, 17, 21]), weight=0.75)
    loss = make_loss(name, 30)
    results = []
    for parts in ([micro_batches.BatchPart(batch, 1.0)], parts_of(batch, 16)):
        network.zero_grad()
        value = loss_in_parts(lambda part: next_item_loss(network, part, loss), parts)
        value.backward()
        results.append((value.item(), network.embedding.items.weight.grad))
    (whole, expected), (value, gradient) = results
    assert value == pytest.approx(whole, rel=1e-12) and expected is not None and gradient is not None
    assert not gradient.is_sparse and torch.allclose(gradient, expected, rtol=1e-9, atol=1e-12)


def test_architecture_parameters_get_the_gradients_of_the_whole_batch(small_parts: None) -> None:
    """Parts share one draw, whose graph must be retained for all of them."""
    torch.manual_seed(0)
    space = EASRecSpace(SpaceConfig(**SIZES)).double()
    selection = Selection(space_choices(space), noise=False)
    selection.logits.double()
    space.layers = wrap(space.layers, {}, selection)  # type: ignore[assignment]
    for index, block in enumerate(space.layers.origin.blocks):  # type: ignore[union-attr]
        space.layers.origin.blocks[index] = wrap(block, {}, selection)  # type: ignore[union-attr]
    batch = TrainingBatch(causal_batch().ids, causal_batch().targets[:, -1])

    def gradients(parts: list[micro_batches.BatchPart]) -> list[Tensor]:
        weights = selection.draw()
        loss = loss_in_parts(lambda part: next_item_loss(space, part), parts)
        total = loss + 0.1 * weights["depth"][-1]
        return list(torch.autograd.grad(total, list(selection.logits.values())))

    whole, in_parts = gradients([micro_batches.BatchPart(batch, 1.0)]), gradients(parts_of(batch, 16))
    assert len(parts_of(batch, 16)) >= 3
    for expected, result in zip(whole, in_parts, strict=True):
        assert expected.abs().max() > 1e-6
        assert torch.allclose(result, expected, rtol=1e-9, atol=1e-14)


def test_without_gradients_the_value_is_the_same(small_parts: None) -> None:
    network = EASRecSpace(SpaceConfig(**SIZES)).eval()
    network = network.freeze(network.config.largest)
    batch = causal_batch()
    with torch.no_grad():
        result = loss_in_parts(lambda part: next_item_loss(network, part), parts_of(batch, 16))
        assert result.item() == pytest.approx(next_item_loss(network, batch).item(), rel=1e-5)
    assert not result.requires_grad


def test_activations_of_one_part_are_held_at_a_time(small_parts: None) -> None:
    """Tensors saved for a part's backward pass are freed before the next part."""
    alive = []

    class Held(torch.autograd.Function):
        @staticmethod
        def forward(ctx, weight: Tensor) -> Tensor:  # type: ignore[no-untyped-def]
            ctx.held = torch.zeros(1)
            alive.append(ctx.held)
            return weight.clone()

        @staticmethod
        def backward(ctx, *outer: Tensor) -> Tensor:  # type: ignore[no-untyped-def]
            return outer[0]

    weight = torch.ones((), requires_grad=True)
    references: list[weakref.ref[Tensor]] = []

    def loss_of(part: TrainingBatch) -> Tensor:
        assert all(reference() is None for reference in references)
        loss = Held.apply(weight)
        references.append(weakref.ref(alive.pop()))
        return loss

    loss_in_parts(loss_of, parts_of(causal_batch(), 16)).backward()
    assert len(references) >= 3 and weight.grad is not None and weight.grad.item() == pytest.approx(1.0)
