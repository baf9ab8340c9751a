"""Machine and environment of a measurement, without names of the machine or its user."""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import Any, Literal

import psutil

from easrec_nni.common.provenance import provenance
from easrec_nni.common.threads import available_cores

__all__ = ["Allocator", "allocator_environment", "benchmark_provenance", "describe_machine", "load_average"]

Allocator = Literal["keep", "default"]

_THRESHOLDS = ("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_")
_KEEP_BYTES = 4 << 30


def describe_machine() -> dict[str, Any]:
    """Processor, cores that this process may use, memory, system and C library.

    Examples
    --------
    >>> sorted(describe_machine())
    ['cores', 'libc', 'memory_bytes', 'processor', 'system']
    """
    return {
        "processor": _processor(),
        "cores": available_cores(),
        "memory_bytes": psutil.virtual_memory().total,
        "system": f"{platform.system()} {platform.machine()}",
        "libc": " ".join(platform.libc_ver()),
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return platform.processor()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor())


def load_average() -> list[float]:
    """System load averages over the last 1, 5 and 15 minutes."""
    return [round(value, 2) for value in os.getloadavg()]


def benchmark_provenance(before: list[float]) -> dict[str, Any]:
    """Provenance of a benchmark's file: machine, load, command, commit, versions, end time.

    Parameters
    ----------
    before
        Load averages at the start.
    """
    return {
        "machine": describe_machine(),
        "load_average": {"before": before, "after": load_average()},
        **provenance(),
    }


def allocator_environment(allocator: Allocator) -> dict[str, str]:
    """Environment that fixes glibc's allocator thresholds in a child process.

    Thresholds set for this process are not passed on.

    Parameters
    ----------
    allocator
        ``default``: glibc's defaults, by which every large block is returned to the system when it is freed, and its
        pages are zeroed again at the next use; that can take longer than the arithmetic and says little about a
        network. ``keep``: freed memory stays with the process, up to 4 GiB.
    """
    environment = {name: value for name, value in os.environ.items() if name not in _THRESHOLDS}
    if allocator == "keep":
        environment |= dict.fromkeys(_THRESHOLDS, str(_KEEP_BYTES))
    return environment
