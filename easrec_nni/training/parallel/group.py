"""Collectives for data-parallel runs; no-ops in a single process."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

from easrec_nni.training.random_states import random_state, set_random_state
from strategies import SingleProcess

__all__ = [
    "ProcessGroup",
    "all_gather",
    "average",
    "average_gradients",
    "count",
    "is_first",
    "join",
    "leave",
    "processes_of",
    "rank",
    "seed_rank",
]

Value = TypeVar("Value")

# Timeout for a process that hangs; one that ends breaks its connections, which the others notice at once.
PATIENCE = datetime.timedelta(minutes=5)
# Larger gradients are sent separately; smaller ones are packed, as each message has a latency.
PACKED_ELEMENTS = 1 << 20
# Distance between the seeds of processes, so that no two of them draw the same dropout.
STRIDE = 1_000_003


def count() -> int:
    """Number of processes in this run."""
    return dist.get_world_size() if dist.is_initialized() else 1


def rank() -> int:
    """Rank of this process, from 0."""
    return dist.get_rank() if dist.is_initialized() else 0


def is_first() -> bool:
    """Whether this is the first process, which writes and reports."""
    return rank() == 0


def join(folder: Path, number: int, processes: int) -> None:
    """Join the process group of a run; blocks until all processes have joined.

    Parameters
    ----------
    folder
        Folder with the rendezvous file, used instead of a port.
    number
        Rank of this process, from 0.
    processes
        Number of processes.
    """
    cuda = torch.cuda.is_available()
    if cuda:
        torch.cuda.set_device(number)
    backend = "cpu:gloo,cuda:nccl" if cuda else "gloo"
    rendezvous = f"file://{folder.resolve()}/store"
    dist.init_process_group(backend, rendezvous, rank=number, world_size=processes, timeout=PATIENCE)


def leave() -> None:
    """Leave the process group, after a barrier."""
    dist.barrier()
    dist.destroy_process_group()


def seed_rank(seed: int) -> None:
    """Seed this process for its own dropout; the first keeps the seed of a single-process run."""
    if rank():
        torch.manual_seed(seed + STRIDE * rank())


def average(values: Tensor) -> Tensor:
    """Mean of a tensor over all processes."""
    if count() == 1:
        return values
    values = values.clone()
    dist.all_reduce(values)
    return values.div_(count())


def average_gradients(tensors: Iterable[Tensor]) -> None:
    """Average gradients over all processes, in place.

    Parameters
    ----------
    tensors
        Parameters. Those without a gradient are skipped; they are the same in all processes, because all run the same
        candidates.
    """
    if count() == 1:
        return
    gradients = [tensor.grad for tensor in tensors if tensor.grad is not None]
    for gradient in gradients:
        if gradient.numel() > PACKED_ELEMENTS:
            dist.all_reduce(gradient)
            gradient.div_(count())
    small = [gradient for gradient in gradients if gradient.numel() <= PACKED_ELEMENTS]
    if not small:
        return
    packed = torch.cat([gradient.reshape(-1) for gradient in small])
    dist.all_reduce(packed)
    parts = packed.div_(count()).split([gradient.numel() for gradient in small])
    for gradient, part in zip(small, parts, strict=True):
        gradient.copy_(part.view_as(gradient))


def all_gather(value: Value) -> list[Value]:
    """Values of all processes, ordered by rank."""
    if count() == 1:
        return [value]
    values: list[Value | None] = [None] * count()
    dist.all_gather_object(values, value)
    return [value for value in values if value is not None]


class ProcessGroup(SingleProcess):
    """Synchronisation of the processes of a search, beyond the weights' gradients."""

    def average(self, parameters: Iterable[nn.Parameter]) -> None:
        """Average the gradients of alpha and beta."""
        average_gradients(parameters)

    @contextmanager
    def same_draws(self, device: torch.device) -> Iterator[None]:
        """Context with the first process' random state; the own state is restored afterwards.

        The draws are therefore those of a search in a single process.
        """
        local = random_state(device)
        shared = local.clone()
        dist.broadcast(shared, 0)
        if is_first():
            yield
            return
        set_random_state(shared, device)
        try:
            yield
        finally:
            set_random_state(local, device)


def processes_of() -> SingleProcess:
    """Synchronisation object for this process' strategy."""
    return ProcessGroup() if count() > 1 else SingleProcess()
