"""Arguments of a trial's program, ``python -m easrec_nni.trial``."""

from __future__ import annotations

from collections.abc import Sequence

from easrec_nni.common.errors import UserError

__all__ = ["read_trial_arguments"]


def read_trial_arguments(words: Sequence[str]) -> tuple[str, list[str]]:
    """Settings file and ``KEY=VALUE`` pairs of a trial's arguments.

    Raises
    ------
    UserError
        They are not ``--settings FILE [--set KEY=VALUE]...``.

    Examples
    --------
    >>> read_trial_arguments(["--settings", "mine.yml", "--set", "seed=1"])
    ('mine.yml', ['seed=1'])
    """
    options, values = words[::2], words[1::2]
    if list(options) != ["--settings", *["--set"] * (len(values) - 1)] or not values or not values[0]:
        raise UserError(
            f"a trial's arguments are {' '.join(words) or 'missing'!r}: write python3 -m easrec_nni.trial --settings "
            "FILE [--set KEY=VALUE]..., as trialCommand of an NNI experiment"
        )
    return values[0], list(values[1:])
