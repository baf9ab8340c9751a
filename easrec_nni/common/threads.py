"""Cores and threads of processes."""

from __future__ import annotations

import os

__all__ = ["available_cores", "available_threads", "thread_environment"]


def available_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0))


def available_threads() -> int:
    """Threads that this process is to use: ``OMP_NUM_THREADS``, or as many as it has cores."""
    wanted = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0]  # a list is of nested levels, outermost first
    return max(1, int(wanted)) if wanted.isdecimal() else available_cores()


def thread_environment(threads: int) -> dict[str, str]:
    """Variables that have a process compute with so many threads from its start on.

    Examples
    --------
    >>> thread_environment(2)
    {'OMP_NUM_THREADS': '2', 'MKL_NUM_THREADS': '2'}
    """
    return dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS"), str(threads))
