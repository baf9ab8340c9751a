"""Peak memory of a process."""

from __future__ import annotations

from pathlib import Path

from easrec_nni.common.errors import UserError

__all__ = ["peak_memory_bytes"]


def peak_memory_bytes() -> int:
    """Peak resident memory of this process since its program was started, in bytes.

    This is Linux' ``VmHWM``. ``getrusage``'s ``ru_maxrss`` is not a substitute: it keeps the parent's peak across
    ``exec``, and would report a large parent's memory for a small child.

    Raises
    ------
    UserError
        The system is not Linux.

    Examples
    --------
    >>> before = peak_memory_bytes()
    >>> block = bytes(64 << 20)
    >>> peak_memory_bytes() >= before
    True
    """
    try:
        lines = Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines()
        kibibytes = next(line.split()[1] for line in lines if line.startswith("VmHWM:"))
    except (OSError, StopIteration, IndexError):
        raise UserError("peak memory can only be measured on Linux, from /proc/self/status") from None
    return int(kibibytes) * 1024
