"""Step of an elastic supernet, against networks that are frozen out of it."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from easrec_nni.data import Dataset
from easrec_nni.data.batches.training import TrainingBatch
from easrec_nni.searching.elastic import make_elastic
from easrec_nni.searching.paths_module import PathsModule, rows_of_path
from easrec_nni.settings.trial import TrialSettings
from easrec_nni.training.context import TrialContext
from search_spaces import Choice, EASRecSpace, candidate_label
from strategies.elastic import ElasticModule

SPACE: dict[str, Any] = {
    "max_length": 6,
    "hidden": 8,
    "inner": 16,
    "heads": 2,
    "layers": 2,
    "hidden_pruning": [0, 0.5],
    "inner_pruning": [0, 0.5],
    "supernet": "shared",
    "dropout": 0.0,
}
PATHS = [{"pruning": 0, "depth": 1}, {"pruning": 3, "depth": 0}, {"pruning": 2, "depth": 1}]


def supernet(
    dataset: Dataset, space: dict[str, Any] | None = None, elastic: dict[str, Any] | None = None, **changes: Any
) -> tuple[EASRecSpace, PathsModule, ElasticModule, TrialContext]:
    options = {"strategy": "elastic", "elastic": {"share": 0.5, **(elastic or {})}}
    document = {"data": str(dataset.path), "space": {**SPACE, **(space or {})}, "search": options, **changes}
    context = TrialContext.open(TrialSettings.parse(document, "test"), dataset)
    torch.manual_seed(0)
    network = EASRecSpace(context.space)
    with torch.no_grad():
        for weight in network.parameters():
            weight += 0.1 * torch.randn_like(weight)
        network.embedding.items.weight[0] = 0
    strategy, module = make_elastic(context)
    module.set_model(strategy.mutate_model(network.double()))
    return network, module, strategy.configure_oneshot_module(module), context


def a_batch(context: TrialContext, size: int = 10) -> TrainingBatch:
    batches = context.training_batches(size)
    batches.set_epoch(0)
    return next(iter(batches))


def choices(context: TrialContext) -> list[Choice]:
    candidates = context.space.candidates
    return [
        context.space.choice({"pruning": candidate_label(*candidates[path["pruning"]]), "depth": path["depth"] + 1})
        for path in PATHS
    ]


def plain(
    network: EASRecSpace,
    context: TrialContext,
    batch: TrainingBatch,
    share: float,
    weight: float,
    smoothing: float = 0.0,
) -> Tensor:
    """The step's loss by frozen compact networks, sequence by sequence and position by position."""
    means, teacher = [], network.freeze(choices(context)[0]).double().eval()
    for place, choice in enumerate(choices(context)):
        compact = network.freeze(choice).double().eval()
        losses = []
        for row in rows_of_path(len(batch.ids), place, len(PATHS), share, 3).tolist():
            states, teaching = (each.states(batch.ids[row : row + 1])[0] for each in (compact, teacher))
            for position, target in enumerate(batch.targets[row].tolist()):
                if target:
                    log_q = compact.score(states[position])[1:].log_softmax(-1)
                    goal = F.one_hot(torch.tensor(target - 1), len(log_q)).double()
                    goal = (1 - smoothing) * goal + smoothing / len(log_q)
                    if place:
                        p = teacher.score(teaching[position])[1:].softmax(-1)
                        goal = (1 - weight) * goal + weight * p
                    losses.append(-(goal * log_q).sum())
        means.append(torch.stack(losses).mean())
    return torch.stack(means).mean()


@pytest.mark.parametrize("weight", [0.0, 0.7])
@pytest.mark.parametrize("head", ["state", "core"])
@pytest.mark.parametrize("micro_batch", ["rule", 12])
def test_a_steps_loss_is_that_of_frozen_networks(
    weight: float, head: str, micro_batch: str | int, tiny_dataset: Dataset
) -> None:
    network, module, search_module, context = supernet(
        tiny_dataset, {"head": head}, {"distillation": weight}, micro_batch=micro_batch
    )
    batch = a_batch(context)
    loss = module.paths_step(batch, 3, PATHS, search_module.running)
    if micro_batch == "rule":
        with torch.no_grad():
            torch.testing.assert_close(loss, plain(network, context, batch, 0.5, weight))
    # In micro-batches, other sequences fall to the smaller networks; all of them count with share 1.
    network, module, search_module, context = supernet(
        tiny_dataset, {"head": head}, {"distillation": weight, "share": 1.0}, micro_batch=micro_batch
    )
    loss = module.paths_step(batch, 3, PATHS, search_module.running)
    with torch.no_grad():
        torch.testing.assert_close(loss, plain(network, context, batch, 1.0, weight))


@torch.no_grad()
def test_the_targets_of_every_network_are_smoothed(tiny_dataset: Dataset) -> None:
    network, module, search_module, context = supernet(tiny_dataset, label_smoothing=0.2)
    batch = a_batch(context)
    loss = module.paths_step(batch, 3, PATHS, search_module.running)
    torch.testing.assert_close(loss, plain(network, context, batch, 0.5, 0.7, smoothing=0.2))


def test_gradients_reach_slices_alone_and_the_teacher_is_a_constant(tiny_dataset: Dataset) -> None:
    network, module, search_module, context = supernet(tiny_dataset, {"gate_layers": 0}, {"distillation": 1.0})
    batch = a_batch(context)
    smallest = {"pruning": 3, "depth": 0}
    both = module.paths_step(batch, 0, [PATHS[0], smallest], search_module.running)
    largest = module.paths_step(batch, 0, [PATHS[0]], search_module.running)
    block = network.blocks()[0].block
    weights = [block.expand.weight, network.blocks()[1].block.expand.weight]
    with_student = torch.autograd.grad(2 * both, weights)
    alone = torch.autograd.grad(largest, weights)
    difference = with_student[0] - alone[0]  # [D, d], of the smallest network: 8 of 16, 4 of 8 dimensions
    assert difference[:8, :4].abs().max() > 1e-4
    assert difference[8:].abs().max() < 1e-12 and difference[:, 4:].abs().max() < 1e-12
    torch.testing.assert_close(with_student[1], alone[1])  # it has no second layer


def test_sampled_losses_train_every_path_on_its_share(tiny_dataset: Dataset) -> None:
    network, module, search_module, context = supernet(
        tiny_dataset, elastic={"distillation": 0.0}, loss="sampled_softmax", negatives=5
    )
    batch = a_batch(context)
    loss = module.paths_step(batch, 3, PATHS, search_module.running)
    means = []
    for place, choice in enumerate(choices(context)):
        compact = network.freeze(choice).double().eval()
        rows = rows_of_path(len(batch.ids), place, len(PATHS), 0.5, 3)
        real = batch.targets[rows] != 0
        states, targets = compact.states(batch.ids[rows])[real], batch.targets[rows][real]
        means.append(context.loss()(compact, states, targets, batch.negatives))
    torch.testing.assert_close(loss, torch.stack(means).mean())


def test_augmented_batches_have_one_target_per_row(tiny_dataset: Dataset) -> None:
    network, module, search_module, context = supernet(tiny_dataset, elastic={"distillation": 0.0}, mode="augmented")
    batch = a_batch(context)
    loss = module.paths_step(batch, 3, PATHS, search_module.running)
    means = []
    for place, choice in enumerate(choices(context)):
        rows = rows_of_path(len(batch.ids), place, len(PATHS), 0.5, 3)
        with torch.no_grad():
            scores = network.freeze(choice).double().eval()(batch.ids[rows])
        means.append(F.cross_entropy(scores[:, 1:], batch.targets[rows] - 1))
    torch.testing.assert_close(loss.detach(), torch.stack(means).mean())


@pytest.mark.parametrize("sequences", [1, 2, 7, 128])
@pytest.mark.parametrize("share", [0.1, 0.3, 0.5, 1.0])
@pytest.mark.parametrize("paths", [2, 3, 5])
def test_rows_are_distinct_and_shares_are_kept(sequences: int, share: float, paths: int) -> None:
    for step in range(4):
        for place in range(paths):
            rows = rows_of_path(sequences, place, paths, share, step).tolist()
            assert rows == sorted(set(rows)) and rows[0] >= 0 and rows[-1] < sequences
            assert len(rows) == (sequences if place == 0 else max(1, round(share * sequences)))


def test_with_shares_that_add_up_every_sequence_trains_one_smaller_network() -> None:
    for step in range(3):
        rows = [rows_of_path(128, place, 3, 0.5, step).tolist() for place in (1, 2)]
        assert sorted(rows[0] + rows[1]) == list(range(128))
    assert rows_of_path(128, 1, 3, 0.5, 0).tolist() == rows_of_path(128, 2, 3, 0.5, 1).tolist()
