"""CPU cores and thread counts of processes."""

from __future__ import annotations

import os

__all__ = ["available_cores", "available_threads", "thread_environment"]


def available_cores() -> int:
    """Number of CPU cores that this process may use."""
    return len(os.sched_getaffinity(0))


def available_threads() -> int:
    """Number of threads for this process: ``OMP_NUM_THREADS``, or one per core."""
    wanted = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0]  # a list gives nested levels, outermost first
    return max(1, int(wanted)) if wanted.isdecimal() else available_cores()


def thread_environment(threads: int) -> dict[str, str]:
    """Environment variables that limit a new process to a number of threads.

    Examples
    --------
    >>> thread_environment(2)
    {'OMP_NUM_THREADS': '2', 'MKL_NUM_THREADS': '2'}
    """
    return dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS"), str(threads))
