"""A split: training interactions, targets of validation and test, and their histories."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from easrec_nni.data.arrays import places_between

__all__ = ["Interactions", "Split", "Targets", "distinct_targets", "is_before"]

Part = Literal["valid", "test"]


class Interactions(NamedTuple):
    """Interactions by user and time; arrays of :class:`~easrec_nni.data.dataset.Dataset`.

    Attributes
    ----------
    per_second : int or None
        Units of the times in a second, for times since 1970; None: by the size of the latest time.
    """

    items: NDArray[np.int32]
    offsets: NDArray[np.int64]
    times: NDArray[np.generic]
    per_second: int | None = None


@dataclass(frozen=True)
class Targets:
    """Targets of validation or test: one row for each pair of a user and an item to rank.

    All rows of a user have the same history, which begins at ``offsets[user]``.

    Attributes
    ----------
    users : ndarray of int64, shape [R]
        User of each row, ascending.
    places : ndarray of int64, shape [R]
        Place of each target in ``Dataset.items``.
    history_ends : ndarray of int64, shape [R]
        End (exclusive) of each row's history.
    excluded_ends : ndarray of int64, shape [R]
        End (exclusive) of the user's interactions whose items are not drawn as negatives.
    unknown_items : ndarray of int64
        Items that first appear after everything that may be known: neither ranked nor drawn as negatives.
    cold_users, cold_user_interactions : int
        Users of the part without history, and their interactions in it, none of which is a target.
    cold_items, cold_item_interactions : int
        Items of the part that no user had before, and interactions with them of users with history; none is a target.
    repeats : int
        Further interactions of users with an item that is their target already.
    """

    users: NDArray[np.int64]
    places: NDArray[np.int64]
    history_ends: NDArray[np.int64]
    excluded_ends: NDArray[np.int64]
    unknown_items: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    cold_users: int = 0
    cold_user_interactions: int = 0
    cold_items: int = 0
    cold_item_interactions: int = 0
    repeats: int = 0

    @classmethod
    def none(cls) -> Targets:
        """A part without targets."""
        empty = np.zeros(0, dtype=np.int64)
        return cls(empty, empty, empty, empty)

    def __len__(self) -> int:
        return len(self.users)

    @cached_property
    def first_rows(self) -> NDArray[np.int64]:
        """Row of each user's first target, ``[evaluated users]``."""
        return np.flatnonzero(np.diff(self.users, prepend=-1) != 0).astype(np.int64)

    @property
    def n_users(self) -> int:
        """Number of users that have a target."""
        return len(self.first_rows)

    @property
    def row_users(self) -> NDArray[np.int64] | None:
        """User of each row, to average metrics over; None where every user has a single row."""
        return self.users if self.n_users < len(self) else None

    def of_users(self, users: NDArray[np.int64]) -> Targets:
        """Targets of the given users."""
        rows = np.isin(self.users, users)
        return replace(
            self,
            users=self.users[rows],
            places=self.places[rows],
            history_ends=self.history_ends[rows],
            excluded_ends=self.excluded_ends[rows],
        )


@dataclass(frozen=True)
class Split:
    """Which interactions train and which are targets.

    Users are numbered 0..n_users-1, interactions by their place in ``Dataset.items``.

    Attributes
    ----------
    name : str
        The split as it was asked for, such as ``time:90%``.
    train_end : ndarray of int64, shape [n_users]
        End (exclusive) of each user's training part, which begins at ``offsets[user]``.
    valid_end : ndarray of int64, shape [n_users]
        End (exclusive) of what each user has before test: training and validation.
    all_end : ndarray of int64, shape [n_users]
        End (exclusive) of all that each user has.
    valid, test : Targets
        Targets of validation and test.
    resolved : str
        The split with everything decided that the log decides, such as the points in time that a share stands for.
    has_points : bool
        Whether the parts are divided by points in time, so that nothing behind a part's point is known of any user.
    """

    name: str
    train_end: NDArray[np.int64]
    valid_end: NDArray[np.int64]
    all_end: NDArray[np.int64]
    valid: Targets
    test: Targets
    resolved: str
    has_points: bool = False

    def part(self, name: str) -> Targets:
        """Targets of a part, ``valid`` or ``test``; a KeyError for other parts."""
        return {"valid": self.valid, "test": self.test}[name]

    @cached_property
    def target_users(self) -> NDArray[np.int64]:
        """Users with a target of validation or test, ascending."""
        has_target = np.zeros(len(self.train_end), dtype=bool)
        has_target[self.valid.users] = has_target[self.test.users] = True
        return np.flatnonzero(has_target).astype(np.int64)

    @property
    def users_train_only(self) -> int:
        """Number of users without any target."""
        return len(self.train_end) - len(self.target_users)

    def known_ends(self, part: str) -> NDArray[np.int64]:
        """End (exclusive) of the interactions that may be counted for a part, ``[n_users]``."""
        if not self.has_points:
            return self.all_end
        return {"valid": self.train_end, "test": self.valid_end}[part]

    def training_end(self, through: Literal["train", "valid", "test"] = "train") -> NDArray[np.int64]:
        """End (exclusive) of each user's training interactions, ``[n_users]``.

        No other function decides them.

        Parameters
        ----------
        through : {"train", "valid", "test"}
            Last part that trains: the training part alone; validation too (a refit, once all is decided); or
            everything (a network that is served, with nothing left to test on).
        """
        return {"train": self.train_end, "valid": self.valid_end, "test": self.all_end}[through]

    def trained_through(self, through: Literal["valid", "test"]) -> Split:
        """Split that also trains on further parts, which then have no targets."""
        test = Targets.none() if through == "test" else self.test
        name = "none" if through == "test" else self.name
        return replace(self, name=name, train_end=self.training_end(through), valid=Targets.none(), test=test)

    def of_users(self, users: NDArray[np.int64]) -> Split:
        """Split with the targets of the given users; training interactions stay."""
        return replace(self, valid=self.valid.of_users(users), test=self.test.of_users(users))


def is_before(ends: NDArray[np.int64], offsets: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Mask of the interactions before their user's end (``[n_users]``): ``[interactions]``.

    Examples
    --------
    >>> is_before(np.array([1, 4]), np.array([0, 2, 4])).tolist()
    [True, False, True, True]
    """
    before = np.ones(offsets[-1], dtype=bool)
    before[places_between(ends, offsets[1:])] = False
    return before


def distinct_targets(
    items: NDArray[np.int32], users: NDArray[np.int64], places: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64], int]:
    """Drop targets that repeat an item of the same user; also count those dropped.

    Returns the users and places of the others, ``[R]`` each, and the count.
    """
    width = int(items.max(initial=0)) + 1
    first = np.sort(np.unique(users * width + items[places], return_index=True)[1])  # [R]: user and item in one number
    return users[first], places[first], len(places) - len(first)
