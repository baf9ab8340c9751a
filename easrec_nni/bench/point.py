"""One point of a scaling curve: inference and a training step of one network, in a process of its own.

``python -m easrec_nni.bench.point ORDER`` prints a line of JSON, so that its peak of memory is the point's own.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from typing import Any

import torch

from easrec_nni.architecture.cost import architecture_cost
from easrec_nni.bench.memory import peak_memory_bytes
from easrec_nni.bench.repeats import repeated, spread
from easrec_nni.common.errors import UserError
from easrec_nni.data.batches.training import TrainingBatch
from easrec_nni.training.losses import next_item_loss
from search_spaces import EASRecSpace, SpaceConfig

__all__ = ["Order", "in_own_process", "measure_point"]


@dataclass(frozen=True)
class Order:
    """What is measured.

    Attributes
    ----------
    config
        Fields of a fixed network's :class:`~search_spaces.SpaceConfig`.
    users
        Full histories that are scored at once.
    sequences
        Of a training step, a loss at every position.
    positions
        Of each of them, all of ``max_length`` if it has no more.
    repeats, threads
        How often, with how many.
    """

    config: dict[str, Any]
    users: int
    sequences: int
    positions: int
    repeats: int
    threads: int


def measure_point(order: Order) -> dict[str, Any]:
    """Seconds per user and per training step, multiply-adds, and memory beyond what the weights and Adam take.

    Parameters
    ----------
    order
        The point.

    Returns
    -------
    dict
        ``training_memory_bytes`` is the process's peak minus its peak before the network was made, minus four times
        the weights: themselves, their gradients, and Adam's two moments.
    """
    torch.set_num_threads(order.threads)
    torch.manual_seed(0)
    config = SpaceConfig(**order.config)
    length = min(order.positions, config.max_length)
    ids = torch.randint(1, config.n_items + 1, (order.users, config.max_length))
    batch = TrainingBatch(*torch.randint(1, config.n_items + 1, (2, order.sequences, length)))
    baseline = peak_memory_bytes()
    network = EASRecSpace(config)
    optimizer = torch.optim.Adam(network.parameters(), fused=True)
    train = repeated(lambda: _training_step(network, optimizer, batch), order.repeats)
    beyond = peak_memory_bytes() - baseline
    weights = sum(weight.numel() * weight.element_size() for weight in network.parameters())
    infer = repeated(lambda: _inference(network, ids), order.repeats)
    return {
        "inference_seconds_per_user": spread([value / order.users for value in infer]),
        "training_step_seconds": spread(train),
        "training_positions": order.sequences * length,
        "training_memory_bytes": max(0, beyond - 4 * weights),
        "weights_bytes": weights,
        "executed_madds_per_user": architecture_cost(config, config.largest).executed_madds_per_user,
    }


def _training_step(network: EASRecSpace, optimizer: torch.optim.Optimizer, batch: TrainingBatch) -> float:
    network.train()
    begin = time.perf_counter()
    optimizer.zero_grad()
    next_item_loss(network, batch).backward()
    optimizer.step()
    return time.perf_counter() - begin


@torch.no_grad()
def _inference(network: EASRecSpace, ids: torch.Tensor) -> float:
    network.eval()
    begin = time.perf_counter()
    network(ids)
    return time.perf_counter() - begin


def in_own_process(order: Order) -> dict[str, Any]:
    """As :func:`measure_point`, with this process's environment.

    Raises
    ------
    UserError
        The process failed, most likely for want of memory.
    """
    command = [sys.executable, "-m", "easrec_nni.bench.point", json.dumps(asdict(order))]
    done = subprocess.run(command, capture_output=True, text=True, env=dict(os.environ), check=False)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or [f"code {done.returncode}"])[-1][:200]
        raise UserError(f"a point of a scaling curve could not be measured ({last}): is there enough memory?")
    figures: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return figures


if __name__ == "__main__":
    print(json.dumps(measure_point(Order(**json.loads(sys.argv[1])))))
