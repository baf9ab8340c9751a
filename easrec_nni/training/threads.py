"""Number of threads used by torch."""

from __future__ import annotations

import torch

from easrec_nni.common.threads import available_threads

__all__ = ["use_threads"]


def use_threads(threads: int | None) -> int:
    """Set torch's number of threads (default: the available cores) and return it.

    Two processes that each use as many threads as cores slow each other down:
    :func:`~easrec_nni.common.threads.let_go_of_cores`.
    """
    torch.set_num_threads(max(1, threads or available_threads()))
    return torch.get_num_threads()
