"""Lengths of a dataset's histories, which decide what inference executes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from easrec_nni.data.dataset import Dataset

__all__ = ["HistoryLengths"]


@dataclass(frozen=True)
class HistoryLengths:
    """Number of users by length of the history that a network sees.

    Attributes
    ----------
    users_by_length
        Pairs of a length, 1 or more, and its number of users; ascending lengths.
    """

    users_by_length: tuple[tuple[int, int], ...]

    @classmethod
    def of(cls, dataset: Dataset, max_length: int) -> HistoryLengths | None:
        """Lengths before the test targets, those of validation included; None without test targets.

        A user without a history costs as much as one with a single interaction: its input has one position.

        Parameters
        ----------
        dataset
            Prepared interactions; a user with several test targets counts once for each.
        max_length
            N, number of newest interactions that a network sees.
        """
        targets = dataset.split.test
        if not len(targets):
            return None
        lengths = np.clip(targets.history_ends - dataset.offsets[targets.users], 1, max_length)
        distinct, users = np.unique(lengths, return_counts=True)
        return cls(tuple(zip(distinct.tolist(), users.tolist(), strict=True)))

    @property
    def users(self) -> int:
        """Number of users."""
        return sum(users for _, users in self.users_by_length)

    @property
    def mean(self) -> float:
        """Mean length."""
        return sum(length * users for length, users in self.users_by_length) / self.users
