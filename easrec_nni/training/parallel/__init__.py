"""Data-parallel search and training, one process per device or share of the cores.

Every process runs the same program on its share of the same batches; gradients are averaged, so that all take the same
step (:mod:`.group`). The first process is the user's: only it writes, reports and evaluates. It starts the others, and
they end with it (:mod:`.launching`, :mod:`.worker`).

Lightning's own ``Trainer(strategy="ddp")`` is not used, for three reasons. A search optimises manually and takes the
gradients of alpha and beta with ``torch.autograd.grad``, which DDP's reducer does not see. DDP starts the other
processes by rerunning the user's command, or by pickling the module: NNI's traced classes, and the functions held by
strategies and callbacks, cannot be pickled, and a call from a program or a test is not a command. And DDP averages the
processes' mean losses as if each had the same number of targets, which is wrong for sequences of different lengths.
Instead, each process runs NNI's own Trainer on one device.
"""

from __future__ import annotations

from easrec_nni.training.parallel.group import (
    ProcessGroup,
    all_gather,
    average,
    average_gradients,
    count,
    is_first,
    processes_of,
    rank,
    seed_rank,
)
from easrec_nni.training.parallel.launching import Job, data_parallel
from easrec_nni.training.parallel.share import ShareOfBatches

__all__ = [
    "Job",
    "ShareOfBatches",
    "ProcessGroup",
    "all_gather",
    "average",
    "average_gradients",
    "count",
    "data_parallel",
    "is_first",
    "processes_of",
    "rank",
    "seed_rank",
]
