"""One point of a scaling curve: a training step and inference of one network, in a separate process."""

from __future__ import annotations

from typing import Any

import torch

from easrec_nni.architecture.cost import architecture_cost
from easrec_nni.bench.memory import peak_memory_bytes
from easrec_nni.bench.profiling import largest_allocation
from easrec_nni.bench.repeats import repeated, seconds_of, spread
from easrec_nni.data.batches.training import TrainingBatch
from easrec_nni.training.losses import draw_negatives, make_loss, next_item_loss
from search_spaces import EASRecSpace, SpaceConfig

__all__ = ["measure_point", "measure_training"]

Figures = dict[str, Any]


def measure_training(
    config: dict[str, Any], sequences: int, positions: int, repeats: int, loss: str = "softmax", negatives: int = 0
) -> Figures:
    """Time of a training step with Adam, and its memory beyond weights, gradients and moments.

    Parameters
    ----------
    config
        Fields of a fixed network's :class:`~search_spaces.SpaceConfig`.
    sequences
        Sequences in the step, with a loss at every position.
    positions
        Positions of each sequence, at most the configuration's ``max_length``.
    repeats
        Measured steps, after a warm-up.
    loss
        Key of :data:`~easrec_nni.training.losses.LOSSES`.
    negatives
        Number of negatives shared by the batch, for losses that need them; 0 for none.

    Returns
    -------
    dict
        ``training_memory_bytes`` is the process's peak minus its peak before the network was built, minus four times
        the bytes of the weights: weights, gradients, and Adam's two moments. ``transient_bytes`` is the peak allocation
        of a step by torch's profiler, minus the gradients, which stay.
    """
    torch.manual_seed(0)
    space = SpaceConfig(**config)
    length = min(positions, space.max_length)
    pieces = torch.randint(1, space.n_items + 1, (sequences, length + 1))  # [B, T + 1]: ids and, one later, targets
    batch = TrainingBatch(
        pieces[:, :-1], pieces[:, 1:], draw_negatives(space.n_items, negatives, 0) if negatives else None
    )
    item_loss = make_loss(loss, space.n_items)
    baseline = peak_memory_bytes()
    network = EASRecSpace(space).train()
    optimizer = torch.optim.Adam(network.parameters(), fused=True)

    def gradients() -> None:
        next_item_loss(network, batch, item_loss).backward()

    def step() -> None:
        optimizer.zero_grad()
        gradients()
        optimizer.step()

    seconds = repeated(lambda: seconds_of(step), repeats)
    beyond = peak_memory_bytes() - baseline
    weights = sum(weight.numel() * weight.element_size() for weight in network.parameters())
    optimizer.zero_grad()
    return {
        "training_step_seconds": spread(seconds),
        "training_positions": sequences * length,
        "training_memory_bytes": max(0, beyond - 4 * weights),
        "transient_bytes": largest_allocation(gradients) - weights,
        "weights_bytes": weights,
    }


def measure_point(config: dict[str, Any], users: int, sequences: int, positions: int, repeats: int) -> Figures:
    """Figures of :func:`measure_training`, time of inference, and multiply-adds.

    Parameters
    ----------
    users
        Number of full histories in the inference batch.
    config, sequences, positions, repeats
        Arguments of :func:`measure_training`.
    """
    training = measure_training(config, sequences, positions, repeats)
    space = SpaceConfig(**config)
    network = EASRecSpace(space).eval()
    ids = torch.randint(1, space.n_items + 1, (users, space.max_length))
    with torch.no_grad():
        seconds = repeated(lambda: seconds_of(lambda: network(ids)), repeats)
    return training | {
        "inference_seconds_per_user": spread([value / users for value in seconds]),
        "executed_madds_per_user": architecture_cost(space, space.largest).executed_madds_per_user,
    }
