"""Checks that a split leaves something to train on, to select by and to test on."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from easrec_nni.common.errors import UserError
from easrec_nni.data.split_names import NO_SPLIT
from easrec_nni.data.splits.base import Split
from easrec_nni.data.splits.leave_one_out import MIN_EVALUATED_LENGTH, LeaveOneOut

__all__ = ["check_targets", "check_trainable"]


def check_targets(split: Split, origin: str = "") -> None:
    """Refuse a split in which everything trains: nothing is left to select by or test on.

    Raises
    ------
    UserError
        Everything trains; the message has the ways out.
    """
    if split.name == NO_SPLIT:
        raise UserError(
            f"{origin}everything trains (--split {NO_SPLIT}), so that nothing is left to select or to test by: train a "
            "network that is served by `easrec retrain --all-data`, or prepare the log with another --split"
        )


def check_trainable(offsets: NDArray[np.int64], split: Split, n_items: int, origin: str = "") -> None:
    """Refuse a split that leaves a search nothing to train on, to select by or to test on.

    Parameters
    ----------
    offsets : ndarray of int64, shape [n_users + 1]
        Bounds of the users' interactions, as in :func:`~easrec_nni.data.splits.leave_one_out.leave_one_out`.
    split : Split
        Split of the interactions. If everything trains, it needs no targets.
    n_items : int
        Items in the catalogue, without padding.
    origin : str
        What the message begins with, such as ``the dataset sessions: ``.

    Raises
    ------
    UserError
        There is only one item; fewer than two users have a validation target (one half of these users trains alpha and
        beta, the other half selects the epoch), or none has a test target; or no user has two training interactions, of
        which one is predicted from the other.
    """
    if split.name != NO_SPLIT:
        _check_users(split, origin)
    if n_items == 1:
        raise UserError(
            f"{origin}there is one item alone, so nothing can be told apart: check the item column, or give a log of "
            "several items"
        )
    if int((split.train_end - offsets[:-1]).max()) < 2:
        if not isinstance(split, LeaveOneOut):
            raise UserError(
                f"{origin}no user has two interactions to train on (--split {split.name}): give a log in which users "
                "have more, or another --split"
            )
        raise UserError(
            f"{origin}no user has two interactions to train on, as the last two of each user are the targets of "
            "validation and test: give a log in which users have 4 interactions or more, such as the sessions of a "
            "user joined under one id in the user column"
        )


def _check_users(split: Split, origin: str) -> None:
    """Refuse too few users with targets."""
    if not isinstance(split, LeaveOneOut):
        if split.valid.n_users < 2 or split.test.n_users < 1:
            raise UserError(
                f"{origin}{split.valid.n_users} users have validation targets, where two are needed, and "
                f"{split.test.n_users} test targets, where one is needed (--split {split.name}; a target's user has "
                "interactions before it): give another --split, or a longer log"
            )
    elif split.test.n_users == 0:
        raise UserError(
            f"{origin}no user has {MIN_EVALUATED_LENGTH} interactions, so nothing can be evaluated: "
            "check the user column, or give a longer log"
        )
    elif split.test.n_users == 1:
        raise UserError(
            f"{origin}one user alone has {MIN_EVALUATED_LENGTH} interactions, and two are needed, one to train the "
            "architecture by and one to select by: check the user column, or give a log of more users"
        )
