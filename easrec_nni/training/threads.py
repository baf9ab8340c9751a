"""Number of threads that torch computes with."""

from __future__ import annotations

import torch

from easrec_nni.common.threads import available_threads

__all__ = ["use_threads"]


def use_threads(threads: int | None) -> int:
    """Limit torch to a number of threads (default: the cores there are); returns the number in use.

    Two processes with as many threads as cores each slow each other down a hundredfold.
    """
    wanted = threads or available_threads()
    torch.set_num_threads(max(1, wanted))
    return torch.get_num_threads()
