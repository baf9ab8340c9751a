"""The last-k split: each user's last k are test targets, the k before them validation."""

from __future__ import annotations

import numpy as np

from easrec_nni.common.errors import UserError
from easrec_nni.data.arrays import places_between
from easrec_nni.data.splits.base import Interactions, Split, Targets, distinct_targets

__all__ = ["split_last"]


def split_last(argument: str, log: Interactions) -> Split:
    """Split interactions by their order within each user.

    ``last:3`` tests on the last three and validates on the three before.

    All targets of a part have the same history: what lies before the first of them. Users with 2k interactions or fewer
    train only. An item that is twice among a user's targets of a part counts once.

    Parameters
    ----------
    argument : str
        Number k, from 1.
    log : Interactions
        Log to split.

    Raises
    ------
    UserError
        The argument is not such a number.
    """
    if not (argument.isascii() and argument.isdigit() and len(argument) < 10 and int(argument) > 0):
        raise UserError(f"--split last:{argument}: give a whole number of targets from 1, such as --split last:3")
    k = int(argument)
    ends = log.offsets[1:]
    evaluated = np.diff(log.offsets) > 2 * k
    users = np.flatnonzero(evaluated).astype(np.int64)

    def targets(back: int) -> Targets:
        first = ends[users] - back
        rows, places, repeats = distinct_targets(log.items, np.repeat(users, k), places_between(first, first + k))
        return Targets(rows, places, ends[rows] - back, ends[rows] - back + k, repeats=repeats)

    name = f"last:{k}"
    return Split(name, ends - 2 * k * evaluated, ends - k * evaluated, ends, targets(2 * k), targets(k), name)
