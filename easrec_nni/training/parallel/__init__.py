"""One run in several processes, each on a device of its own or a share of the cores: data-parallel search and training.

Every process runs the same program on the same batches, of which it takes its share; gradients are averaged, so that
all take the same step (:mod:`.group`). The first process is the user's own: it alone writes, tells and evaluates. The
others are started beside it and end with it (:mod:`.launching`, :mod:`.worker`).

Lightning's own ``Trainer(strategy="ddp")`` is not used, because three things here do not fit it. A search optimises by
hand and takes the gradients of alpha and beta with ``torch.autograd.grad``, which its reducer does not see. It starts
the other processes by running the user's command again, or by pickling the module: NNI's traced classes, and the
functions that a strategy or a callback holds, cannot be pickled, and a call from a program or a test is no command.
And it averages the processes' mean losses as if each had as many targets, which sequences of different lengths do not.
Each process has NNI's own Trainer for its one device instead.
"""

from __future__ import annotations

from easrec_nni.training.parallel.group import (
    Together,
    average,
    average_gradients,
    count,
    gathered,
    is_first,
    processes_of,
    rank,
    seed_apart,
)
from easrec_nni.training.parallel.launching import Job, side_by_side
from easrec_nni.training.parallel.share import ShareOfBatches

__all__ = [
    "Job",
    "ShareOfBatches",
    "Together",
    "average",
    "average_gradients",
    "count",
    "gathered",
    "is_first",
    "processes_of",
    "rank",
    "seed_apart",
    "side_by_side",
]
