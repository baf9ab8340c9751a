"""How much memory a process has needed at most."""

from __future__ import annotations

from pathlib import Path

from easrec_nni.common.errors import UserError

__all__ = ["peak_memory_bytes"]


def peak_memory_bytes() -> int:
    """Largest resident memory, in bytes, of this process since its program was started.

    This is Linux' ``VmHWM``. ``getrusage``'s ``ru_maxrss`` is no substitute: across ``exec`` it keeps the peak of the
    process that started this one, and would report a large parent's memory for a small child.

    Raises
    ------
    UserError
        The system does not tell.

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
