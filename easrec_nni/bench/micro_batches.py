"""Time of a training step by the size of its micro-batches.

Profiles of two sizes show where the time goes: that of the training's rule, and the whole batch as one.
"""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor

from easrec_nni.bench.measurement import Bench, Figures, Measurement
from easrec_nni.bench.profiling import operator_shares
from easrec_nni.data.batches.training import TrainingBatch
from easrec_nni.training.losses import next_item_loss
from easrec_nni.training.micro_batch_size import seconds_by_positions
from easrec_nni.training.micro_batches import CACHED_VALUES, leaves_of, loss_in_parts, parts_of
from search_spaces import EASRecNetwork

__all__ = ["MEASUREMENT"]

SEQUENCES, QUICK_SEQUENCES = 64, 4


def _measure(bench: Bench) -> Figures:
    sequences = QUICK_SEQUENCES if bench.request.quick else SEQUENCES
    shape = (2, sequences, bench.space.max_length)  # ids and targets: [2, B, N]
    batch = TrainingBatch(*torch.randint(1, bench.dataset.n_items + 1, shape))
    network = bench.network(bench.space.largest).train()
    width = max(network.config.hidden, network.config.inner)
    loss_of = partial(_loss, network)
    seconds = seconds_by_positions(loss_of, batch, width, bench.repeats)
    least = min(seconds.values())
    rule, whole = CACHED_VALUES // width, batch.ids.numel()
    return {
        "sequences": sequences,
        "history": bench.space.max_length,
        "positions_by_the_rule": rule,
        "rows": [
            {"positions": size, "seconds": value, "of_the_fastest": value / least} for size, value in seconds.items()
        ],
        "operators": {
            name: operator_shares(partial(_step, loss_of, batch, width, size))
            for name, size in (("by the rule", rule), ("whole batch", whole))
        },
    }


def _loss(network: EASRecNetwork, part: TrainingBatch) -> Tensor:
    return next_item_loss(network, part)


def _step(loss_of: partial[Tensor], batch: TrainingBatch, width: int, positions: int) -> None:
    loss = loss_in_parts(loss_of, parts_of(batch, width, positions))
    torch.autograd.grad(loss, leaves_of(loss))


MEASUREMENT = Measurement(
    "micro-batches",
    "forward and backward pass of 64 full histories by the size of micro-batches, and a profile",
    _measure,
)
