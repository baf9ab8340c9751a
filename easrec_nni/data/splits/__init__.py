"""Splits of the interactions into training, validation and test, one module for each kind.

* ``base.py``: a split and its targets
* ``leave_one_out.py``: each user's last two, the default; ``last.py``: the last k of each user
* ``point_in_time.py``: a point in time; ``none.py``: everything trains
* ``checks.py``: refusal of splits that leave too little; ``validation_users.py``: the two roles of validation users

To add a split: a module here with a function that makes it, and a line in :data:`SPLITS`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from easrec_nni.common.errors import UserError
from easrec_nni.common.hints import did_you_mean
from easrec_nni.data.split_names import LEAVE_ONE_OUT, NO_SPLIT
from easrec_nni.data.splits.base import Interactions, Split, Targets
from easrec_nni.data.splits.last import split_last
from easrec_nni.data.splits.leave_one_out import LeaveOneOut, leave_one_out, split_leave_one_out
from easrec_nni.data.splits.none import split_none
from easrec_nni.data.splits.point_in_time import split_time

__all__ = [
    "SPLITS",
    "Interactions",
    "LeaveOneOut",
    "Split",
    "Targets",
    "check_split",
    "leave_one_out",
    "make_split",
]

SPLITS: dict[str, Callable[[str, Interactions], Split]] = {
    LEAVE_ONE_OUT: split_leave_one_out,
    "time": split_time,
    "last": split_last,
    NO_SPLIT: split_none,
}
"""Function for each split; its first argument is the text after the name and a colon."""


def check_split(name: str) -> None:
    """Refuse a name that is not in :data:`SPLITS`, before a log is read.

    Raises
    ------
    UserError
        The split is unknown; the message suggests the closest name.
    """
    kind = name.partition(":")[0]
    if kind not in SPLITS:
        raise UserError(f"--split {kind[:100]}: there is no such split; {did_you_mean(kind, SPLITS)}")


def make_split(name: str, log: Interactions, resolved: str = "") -> Split:
    """Split a log.

    Parameters
    ----------
    name : str
        A name of :data:`SPLITS` with its argument, such as ``time:90%``.
    log : Interactions
        Log to split.
    resolved : str
        The same split with everything decided that the log decides, if stored: points in time are not computed
        again.

    Raises
    ------
    UserError
        There is no such split, or it does not suit the log.

    Examples
    --------
    >>> import numpy as np
    >>> log = Interactions(np.array([1, 2, 3, 1, 2, 3]), np.array([0, 4, 6]), np.array([1, 2, 5, 9, 2, 7]))
    >>> make_split("time:50%,80%", log).train_end.tolist()
    [2, 5]
    """
    kind, _, argument = (resolved or name).partition(":")
    check_split(kind)
    split = SPLITS[kind](argument.strip(), log)
    return replace(split, name=name) if resolved else split
