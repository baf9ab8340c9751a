"""Interaction log in the form in which the peers' processes read it.

Needs only numpy: the peers' environments do not have the toolkit's requirements.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["ARRAYS", "Log"]

ARRAYS = ("items", "offsets", "train_end", "users", "valid_places", "test_places")


@dataclass(frozen=True)
class Log:
    """Interactions of a prepared dataset, with its split.

    Attributes
    ----------
    folder
        Folder of the arrays and of RecBole's files.
    items : ndarray of int32, shape [interactions]
        Item numbers from 1, by user and, within a user, by time.
    offsets : ndarray of int64, shape [n_users + 1]
        Start of each user's interactions in ``items``.
    train_end : ndarray of int64, shape [n_users]
        End of each user's training part in ``items``.
    users : ndarray of int64, shape [E]
        Evaluated users.
    valid_places, test_places : ndarray of int64, shape [E]
        Positions of their targets in ``items``; the history is what precedes them.
    n_items : int
        Number of items, without padding.
    features : tuple of str
        Names of the item features that RecBole's file of items has.
    """

    folder: Path
    items: NDArray[np.int32]
    offsets: NDArray[np.int64]
    train_end: NDArray[np.int64]
    users: NDArray[np.int64]
    valid_places: NDArray[np.int64]
    test_places: NDArray[np.int64]
    n_items: int
    features: tuple[str, ...]

    @classmethod
    def read(cls, folder: str | Path) -> Log:
        """Read a log from a folder written by :func:`benchmarks.peers.conversion.convert`."""
        path = Path(folder)
        facts: dict[str, Any] = json.loads((path / "log.json").read_text(encoding="utf-8"))
        arrays = {name: np.load(path / f"{name}.npy") for name in ARRAYS}
        return cls(path, **arrays, n_items=facts["n_items"], features=tuple(facts["features"]))

    def training_part(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """User and position of every training interaction, by user and time."""
        user = np.repeat(np.arange(len(self.train_end)), np.diff(self.offsets))
        place = np.arange(len(self.items))
        training = place < self.train_end[user]
        return user[training], place[training]

    def histories(self, part: str, length: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Newest items before each evaluated user's target, padded with 0 on the right.

        Parameters
        ----------
        part
            ``valid`` or ``test``.
        length
            Context length N.

        Returns
        -------
        ids : ndarray of int64, shape [E, N]
        lengths : ndarray of int64, shape [E]
        """
        places = self.valid_places if part == "valid" else self.test_places
        starts = np.maximum(self.offsets[self.users], places - length)
        index = starts[:, None] + np.arange(length)  # [E, N]
        inside = index < places[:, None]
        ids = np.where(inside, self.items[np.minimum(index, len(self.items) - 1)], 0)
        return ids.astype(np.int64), places - starts
