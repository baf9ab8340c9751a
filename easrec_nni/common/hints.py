"""Suggestions for mistyped names."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = ["did_you_mean"]


def did_you_mean(name: str, names: Iterable[str], otherwise: str | None = None) -> str:
    """Suggestion for a mistyped name: the closest valid name, or all of them.

    Parameters
    ----------
    name
        The unknown name.
    names
        The valid names.
    otherwise
        Text where no name is similar; a list of the names by default.

    Examples
    --------
    >>> did_you_mean("lamda", ["lambda", "seed"]), did_you_mean("x", ["seed", "lambda"])
    ("did you mean 'lambda'?", 'choose from seed, lambda')
    """
    choices = list(names)
    close = difflib.get_close_matches(name, choices, n=1)
    if close:
        return f"did you mean {close[0]!r}?"
    return f"choose from {', '.join(choices)}" if otherwise is None else otherwise
