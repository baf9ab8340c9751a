"""Number of threads that torch computes with."""

from __future__ import annotations

import os

import torch

__all__ = ["use_threads"]


def use_threads(threads: int | None) -> int:
    """Limit torch to a number of threads (default: the cores there are); returns the number in use.

    Two processes with as many threads as cores each slow each other down a hundredfold.
    """
    wanted = threads or int(os.environ.get("OMP_NUM_THREADS", 0)) or len(os.sched_getaffinity(0))
    torch.set_num_threads(max(1, wanted))
    return torch.get_num_threads()
