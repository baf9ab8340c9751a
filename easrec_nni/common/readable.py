"""Human-readable numbers, and text that is safe to print."""

from __future__ import annotations

__all__ = ["counted", "printable", "readable_bytes", "readable_change", "readable_count", "readable_seconds"]


def printable(text: str) -> str:
    r"""Escape control characters, so that text cannot send commands to the terminal.

    Examples
    --------
    >>> print(printable("caf\u00e9 \x1b[2J"))
    café \x1b[2J
    """
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode("ascii") for char in text)


def counted(number: int, noun: str) -> str:
    """A number with its noun, in singular or plural.

    Examples
    --------
    >>> counted(1, "user"), counted(1234, "event")
    ('1 user', '1,234 events')
    """
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def readable_count(value: float) -> str:
    """Human-readable count.

    Examples
    --------
    >>> readable_count(1682), readable_count(27_900_000), readable_count(3.2e9)
    ('1,682', '27.9 M', '3.20 G')
    """
    for limit, unit, digits in ((1e9, "G", 2), (1e6, "M", 1), (1e4, "k", 1)):
        if abs(value) >= limit:
            return f"{value / (1e3 if unit == 'k' else limit):.{digits}f} {unit}"
    return f"{value:,.0f}"


def readable_change(share: float) -> str:
    """Relative change in percent, with its sign.

    Examples
    --------
    >>> readable_change(-0.0123), readable_change(0.2), readable_change(-0.0001)
    ('−1.2 %', '+20.0 %', '+0.0 %')
    """
    return f"{round(100 * share, 1) + 0.0:+.1f} %".replace("-", "−")


def readable_bytes(value: float) -> str:
    """Human-readable number of bytes.

    Examples
    --------
    >>> readable_bytes(512), readable_bytes(433_000)
    ('512 B', '433.0 kB')
    """
    for limit, unit in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if value >= limit:
            return f"{value / limit:.1f} {unit}"
    return f"{value:.0f} B"


def readable_seconds(value: float) -> str:
    """Human-readable duration.

    Examples
    --------
    >>> readable_seconds(7.4), readable_seconds(192), readable_seconds(3725)
    ('7 s', '3 min 12 s', '1 h 02 min')
    """
    seconds = round(value)
    if seconds < 60:
        return f"{seconds} s"
    minutes, seconds = divmod(seconds, 60)
    return f"{minutes} min {seconds:02d} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"
