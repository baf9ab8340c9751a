"""What the processes of a run do together. With one process every function is the identity."""

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
    "Together",
    "average",
    "average_gradients",
    "count",
    "gathered",
    "is_first",
    "join",
    "leave",
    "processes_of",
    "rank",
    "seed_apart",
]

Value = TypeVar("Value")

# A process that ends breaks its connections, which the others notice at once; this is for one that hangs.
PATIENCE = datetime.timedelta(minutes=5)
# Gradients of more elements are sent by themselves; smaller ones are packed, as each message has a delay.
PACKED_ELEMENTS = 1 << 20
# Between the seeds of processes, so that no two of them drop the same elements.
STRIDE = 1_000_003


def count() -> int:
    """Processes of this run."""
    return dist.get_world_size() if dist.is_initialized() else 1


def rank() -> int:
    """Which of them this is, from 0."""
    return dist.get_rank() if dist.is_initialized() else 0


def is_first() -> bool:
    """Whether this process is the one that writes and tells."""
    return rank() == 0


def join(folder: Path, number: int, processes: int) -> None:
    """Become a process of a run; returns when all have.

    Parameters
    ----------
    folder
        Where they find each other: no port is opened for that.
    number
        Which process this is, from 0.
    processes
        How many there are.
    """
    cuda = torch.cuda.is_available()
    if cuda:
        torch.cuda.set_device(number)
    backend = "cpu:gloo,cuda:nccl" if cuda else "gloo"
    meeting = f"file://{folder.resolve()}/store"
    dist.init_process_group(backend, meeting, rank=number, world_size=processes, timeout=PATIENCE)


def leave() -> None:
    """Part, once all have come here."""
    dist.barrier()
    dist.destroy_process_group()


def seed_apart(seed: int) -> None:
    """Give this process random numbers of its own for dropout; the first keeps those of a run in one process."""
    if rank():
        torch.manual_seed(seed + STRIDE * rank())


def average(values: Tensor) -> Tensor:
    """Mean of a tensor over the processes."""
    if count() == 1:
        return values
    values = values.clone()
    dist.all_reduce(values)
    return values.div_(count())


def average_gradients(tensors: Iterable[Tensor]) -> None:
    """Replace gradients by their mean over the processes, in place.

    Parameters
    ----------
    tensors
        Parameters, of which those without a gradient are passed over: which they are is the same in all processes,
        because all run the same candidates.
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


def gathered(value: Value) -> list[Value]:
    """What every process has, in their order."""
    if count() == 1:
        return [value]
    values: list[Value | None] = [None] * count()
    dist.all_gather_object(values, value)
    return [value for value in values if value is not None]


class Together(SingleProcess):
    """What the processes of a search must have in common beside the weights' gradients."""

    def average(self, parameters: Iterable[nn.Parameter]) -> None:
        """Mean gradients of alpha and beta."""
        average_gradients(parameters)

    @contextmanager
    def same_draws(self, device: torch.device) -> Iterator[None]:
        """Random numbers of the first process within; each goes on with its own afterwards.

        So the first process draws what a search in one process would.
        """
        own = random_state(device)
        shared = own.clone()
        dist.broadcast(shared, 0)
        if is_first():
            yield
            return
        set_random_state(shared, device)
        try:
            yield
        finally:
            set_random_state(own, device)


def processes_of() -> SingleProcess:
    """How the strategy of this process agrees with others."""
    return Together() if count() > 1 else SingleProcess()
