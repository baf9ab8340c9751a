"""The split of every experiment: leave-one-out per user, and the two roles of validation users."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from easrec_nni.common.errors import UserError

MIN_EVALUATED_LENGTH = 3
"""Interactions that a user needs to be evaluated: one to train on and two targets."""


@dataclass(frozen=True)
class LeaveOneOut:
    """Which interactions train and which are targets.

    Users are numbered 0..n_users-1, interactions by their place in ``Dataset.items``.

    Attributes
    ----------
    eval_users : ndarray of int64, shape [E]
        Users with at least three interactions, ascending.
    train_end : ndarray of int64, shape [n_users]
        End (exclusive) of each user's training part, which begins at ``offsets[user]``.
    valid_target_index : ndarray of int64, shape [E]
        Place of the validation target of each evaluated user: the second-last interaction.
    test_target_index : ndarray of int64, shape [E]
        Place of the test target of each evaluated user: the last interaction.
    users_train_only : int
        Users with fewer than three interactions: all of these train, none is a target.
    """

    eval_users: NDArray[np.int64]
    train_end: NDArray[np.int64]
    valid_target_index: NDArray[np.int64]
    test_target_index: NDArray[np.int64]
    users_train_only: int

    def with_validation_in_training(self) -> LeaveOneOut:
        """The split of a refit: the validation targets are the newest training interactions."""
        train_end = self.train_end.copy()
        train_end[self.eval_users] += 1
        return replace(self, train_end=train_end)

    def target_index(self, part: str) -> NDArray[np.int64]:
        """Places of the targets of a part, ``valid`` or ``test``, ``[E]``; other parts are a KeyError."""
        return {"valid": self.valid_target_index, "test": self.test_target_index}[part]


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
        If `offsets` is no vector of ascending numbers that begins with 0.

    Examples
    --------
    >>> split = leave_one_out(np.array([0, 4, 6]))
    >>> split.eval_users.tolist(), split.train_end.tolist(), split.users_train_only
    ([0], [2, 6], 1)
    >>> split.valid_target_index.tolist(), split.test_target_index.tolist()
    ([2], [3])
    """
    ends = np.asarray(offsets, dtype=np.int64)
    if ends.ndim != 1 or len(ends) == 0 or ends[0] != 0 or np.any(np.diff(ends) < 0):
        raise ValueError("offsets must be a vector that begins with 0 and never descends")
    lengths = np.diff(ends)
    evaluated = lengths >= MIN_EVALUATED_LENGTH
    users = np.flatnonzero(evaluated).astype(np.int64)
    last = ends[1:][users] - 1
    return LeaveOneOut(
        eval_users=users,
        train_end=ends[1:] - 2 * evaluated,
        valid_target_index=last - 1,
        test_target_index=last,
        users_train_only=int(len(lengths) - len(users)),
    )


def check_trainable(offsets: NDArray[np.int64], split: LeaveOneOut, n_items: int, origin: str = "") -> None:
    """Refuse interactions that leave a search nothing to train, to choose or to evaluate by.

    Parameters
    ----------
    offsets : ndarray of int64, shape [n_users + 1]
        As in :func:`leave_one_out`.
    split : LeaveOneOut
        Their split.
    n_items : int
        Items in the catalogue, without padding.
    origin : str
        What the message begins with, such as ``the dataset sessions: ``.

    Raises
    ------
    UserError
        There is one item alone; no user or one alone has a validation target (one half of these users trains alpha and
        beta, the other half selects the epoch); or no user has two training interactions, of which one is predicted
        from the other.
    """
    if len(split.eval_users) == 0:
        raise UserError(
            f"{origin}no user has {MIN_EVALUATED_LENGTH} interactions, so nothing can be evaluated: "
            "check the user column, or give a longer log"
        )
    if len(split.eval_users) == 1:
        raise UserError(
            f"{origin}one user alone has {MIN_EVALUATED_LENGTH} interactions, and two are needed, one to train the "
            "architecture by and one to select by: check the user column, or give a log of more users"
        )
    if n_items == 1:
        raise UserError(
            f"{origin}there is one item alone, so nothing can be told apart: check the item column, or give a log of "
            "several items"
        )
    if int((split.train_end - offsets[:-1]).max()) < 2:
        raise UserError(
            f"{origin}no user has two interactions to train on, as the last two of each user are the targets of "
            "validation and test: give a log in which users have 4 interactions or more, such as the sessions of a "
            "user joined under one id in the user column"
        )


def split_validation_users(n_eval: int, share: float, seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Divide the evaluated users into those that train architectures and those that select models.

    A validation target that trains architecture parameters must not also choose between the models
    that came out of it, so the two parts are disjoint. Neither part ever touches a test target.

    Parameters
    ----------
    n_eval : int
        Number of evaluated users, E.
    share : float
        Share of the users, between 0 and 1, for the architecture parameters. As long as it is
        neither 0 nor 1 and there are two users or more, both parts have at least one.
    seed : int
        Seed of the partition, 0 or more.

    Returns
    -------
    arch_rows, select_rows : ndarray of int64
        Rows of ``LeaveOneOut.eval_users``, each ascending; together they are 0..E-1.

    Raises
    ------
    ValueError
        If `share` is not between 0 and 1 or `n_eval` is negative.
    """
    if not (0.0 <= share <= 1.0) or n_eval < 0:
        raise ValueError(f"share must be between 0 and 1 and n_eval 0 or more, not {share} and {n_eval}")
    size = math.floor(n_eval * share + 0.5)
    if 0.0 < share < 1.0 and n_eval >= 2:
        size = min(max(size, 1), n_eval - 1)
    rows = np.random.default_rng(seed).permutation(n_eval).astype(np.int64)
    return np.sort(rows[:size]), np.sort(rows[size:])
