"""CPU cores and thread counts of processes."""

from __future__ import annotations

import os

__all__ = ["available_cores", "available_threads", "let_go_of_cores", "thread_environment"]

SPINS = "3000"
"""Rounds that a thread spins before it sleeps; GNU OpenMP's default is 300,000."""


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


def let_go_of_cores() -> None:
    """Let idle threads of OpenMP wait without their core, if the environment says nothing of it.

    GNU OpenMP, which torch's wheels bring, lets a thread spin for milliseconds at the end of each parallel region, and
    notices only threads of its own process. On cores that processes share, each region then lasts as long as the
    scheduler's slices. Called before torch is imported; afterwards it has no effect on this process.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", SPINS)
