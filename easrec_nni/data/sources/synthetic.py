"""Random logs of the size and shape of real ones that cannot be distributed.

They show time and memory at scale. What a model reaches on them says nothing about the real log, and none of them is
ever called by its name.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from easrec_nni.common.errors import UserError
from easrec_nni.data.manifest import PrepareSettings
from easrec_nni.data.reporting import Reporter
from easrec_nni.data.sources.base import FrameTable, RawLog
from easrec_nni.data.sources.columns import Columns

# Log-normal spread of the sequences' lengths: half the users have 18 interactions or fewer where the mean is 31.
_LENGTH_SPREAD = 1.1
# Zipf-Mandelbrot: the item of rank r has a share in proportion to 1 / (r + shift).
_POPULARITY_SHIFT = 50
# Places lie on a circle of length 1. Between two interactions a user moves on by this much, more or less …
_STEP = 1e-3
# … and now and then visits any place at all and comes back.
_TRIPS = 0.1
_FIRST_SECOND, _LAST_SECOND = 1_230_768_000, 1_293_839_999  # of 2009 and of 2010
_MEAN_PAUSE = 86_400


@dataclass(frozen=True)
class SyntheticSource:
    """Random log with exact numbers of users, items and interactions.

    Sequences have long-tailed lengths, items a popularity after Zipf's law. Every user walks around a circle of places,
    and so the items seen last tell something about the next one; some stay where they are. The seed of the settings,
    which is that of the negatives, decides the log too.

    Attributes
    ----------
    name : str
        Name, which begins with ``synthetic-``.
    summary : str
        A line for the help text.
    users, items, interactions : int
        Numbers of each, padding not counted.
    least : int
        Fewest interactions of a user or an item.
    """

    name: str
    summary: str
    users: int
    items: int
    interactions: int
    least: int = 5

    def locate(self, path: Path | None, reporter: Reporter) -> tuple[Path, ...]:
        """Return no file, as the log is drawn."""
        if path is not None:
            raise UserError(f"{self.name} is drawn by chance and not read from files: leave out --path")
        return ()

    def read(self, files: Sequence[Path], settings: PrepareSettings, reporter: Reporter) -> RawLog:
        """Draw the log."""
        if settings.min_rating is not None:
            raise UserError(f"{self.name} has no ratings: leave out --min-rating")
        reporter.step(f"drawing {self.interactions} interactions")
        users, items, times = draw_log(self.users, self.items, self.interactions, self.least, settings.seed)
        columns = {"user": _names("user", self.users)[users], "item": _names("item", self.items)[items]}
        frame = pd.DataFrame(
            {name: pd.Series(values, dtype="str") for name, values in columns.items()} | {"time": times}
        )
        return RawLog(
            FrameTable(self.name, frame),
            Columns.of_format(user=0, item=1, time=2),
            notes=("this log is synthetic: drawn by chance, for measurements of time and memory",),
        )


SYNTHETIC_GOWALLA = SyntheticSource(
    "synthetic-gowalla",
    "random log of the size and shape of the paper's Gowalla, which it is not",
    users=64_115,
    items=164_532,
    interactions=2_018_421,
)
"""Sizes are those of the paper's Table II; at least five interactions each fits the averages of 31.5 and 12.3."""


def draw_log(
    users: int, items: int, interactions: int, least: int, seed: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Draw interactions by user and, within a user, in time order.

    Every interaction wants a place on the circle, where its user then is. Items lie on the circle too, each as often as
    its popularity says: sorting both by place gives the k-th wish the k-th item, so that all counts hold exactly and
    an item's neighbours on the circle are those that come before and after it.

    Parameters
    ----------
    users, items, interactions : int
        Numbers to draw.
    least : int
        Fewest interactions of a user or an item.
    seed : int
        Seed, 0 or more.

    Returns
    -------
    users, items, times : ndarray of int64, shape [interactions]
        Numbers from 0; times in seconds since 1970, ascending within a user and never equal.

    Raises
    ------
    ValueError
        There are too few interactions for so many users or items.
    """
    rng = np.random.default_rng(seed)
    lengths = _shares(rng.lognormal(sigma=_LENGTH_SPREAD, size=users), interactions, least)  # [users]
    counts = _shares(1 / (_POPULARITY_SHIFT + np.arange(1, items + 1)), interactions, least)  # [items]
    owner = np.repeat(np.arange(users), lengths)  # [interactions]: user of each
    begins = np.cumsum(lengths) - lengths  # [users]
    walked = _walk(rng.normal(_STEP, _STEP, interactions), begins, owner)
    wishes = (rng.random(users)[owner] + walked) % 1.0
    trips = rng.random(interactions) < _TRIPS
    wishes[trips] = rng.random(int(trips.sum()))
    stock = np.repeat(np.arange(items), rng.permutation(counts))  # items by place, as popular as chance has it
    visited = np.empty(interactions, dtype=np.int64)
    visited[np.argsort(wishes, kind="stable")] = stock
    pauses = 1 + rng.exponential(_MEAN_PAUSE, interactions).astype(np.int64)
    times = rng.integers(_FIRST_SECOND, _LAST_SECOND, users)[owner] + _walk(pauses, begins, owner)
    return owner, rng.permutation(items)[visited], times  # an item's number must not tell where it lies


def _walk(steps: NDArray[Any], begins: NDArray[np.int64], owner: NDArray[np.int64]) -> NDArray[Any]:
    """Cumulative sum of each user's steps, which is 0 at the user's first interaction."""
    sums = np.cumsum(steps)
    walked: NDArray[Any] = sums - sums[begins][owner]
    return walked


def _shares(weights: NDArray[np.float64], total: int, least: int) -> NDArray[np.int64]:
    """Divide `total` into whole shares: `least` each, and the rest in proportion to weights."""
    spare = total - least * len(weights)
    if spare < 0:
        raise ValueError(f"{total} interactions are too few for {len(weights)} users or items with {least} each")
    exact = weights / weights.sum() * spare
    whole = np.floor(exact).astype(np.int64)
    rest = spare - int(whole.sum())
    whole[np.argsort(whole - exact, kind="stable")[:rest]] += 1  # largest remainders
    return least + whole


def _names(kind: str, count: int) -> NDArray[np.object_]:
    return np.array([f"{kind}{number}" for number in range(count)], dtype=object)
