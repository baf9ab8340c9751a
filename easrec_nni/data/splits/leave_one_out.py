"""Leave-one-out: each user's last interaction is for test, the second-last for validation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from easrec_nni.common.errors import UserError
from easrec_nni.data.split_names import LEAVE_ONE_OUT
from easrec_nni.data.splits.base import Interactions, Split, Targets

__all__ = ["MIN_EVALUATED_LENGTH", "LeaveOneOut", "leave_one_out", "split_leave_one_out"]

MIN_EVALUATED_LENGTH = 3
"""Interactions that a user needs to be evaluated: one to train on and two targets."""


@dataclass(frozen=True)
class LeaveOneOut(Split):
    """Leave-one-out split: users with three interactions or more have a target in each part.

    When testing, the validation target belongs to the history.
    """


def leave_one_out(offsets: NDArray[np.int64]) -> LeaveOneOut:
    """Split every user's interactions, which are in time order, by leave-one-out.

    The last interaction of a user is the test target and the second-last one the validation target.
    What comes before is for training; when testing, the validation target belongs to the history.

    Parameters
    ----------
    offsets : ndarray of int64, shape [n_users + 1]
        User u's interactions are those from ``offsets[u]`` up to ``offsets[u + 1]`` (exclusive).

    Returns
    -------
    LeaveOneOut
        The split, which depends on nothing but the offsets.

    Raises
    ------
    ValueError
        If `offsets` is not a vector of ascending numbers that begins with 0.

    Examples
    --------
    >>> split = leave_one_out(np.array([0, 4, 6]))
    >>> split.test.users.tolist(), split.train_end.tolist(), split.users_train_only
    ([0], [2, 6], 1)
    >>> split.valid.places.tolist(), split.test.places.tolist()
    ([2], [3])
    """
    ends = np.asarray(offsets, dtype=np.int64)
    if ends.ndim != 1 or len(ends) == 0 or ends[0] != 0 or np.any(np.diff(ends) < 0):
        raise ValueError("offsets must be a vector that begins with 0 and never descends")
    evaluated = np.diff(ends) >= MIN_EVALUATED_LENGTH
    users = np.flatnonzero(evaluated).astype(np.int64)
    last = ends[1:][users] - 1
    return LeaveOneOut(
        name=LEAVE_ONE_OUT,
        resolved=LEAVE_ONE_OUT,
        train_end=ends[1:] - 2 * evaluated,
        valid_end=ends[1:] - evaluated,
        all_end=ends[1:],
        # Excluded to the user's end: stored negatives are never items of the user. When validation evaluates, the test
        # target is put in again (easrec_nni.data.validation_negatives).
        valid=Targets(users, last - 1, last - 1, last + 1),
        test=Targets(users, last, last, last + 1),
    )


def split_leave_one_out(argument: str, log: Interactions) -> LeaveOneOut:
    """Entry of the registry for leave-one-out; it takes no argument."""
    if argument:
        raise UserError(f"--split {LEAVE_ONE_OUT}:{argument}: {LEAVE_ONE_OUT} takes nothing behind a colon")
    return leave_one_out(log.offsets)
