"""Synthetic logs of any length, drawn in blocks, to measure time and memory at scale.

The interactions of a block depend on the sizes, the seed and the block's number alone. A log has the popularity and the
order of a real one, and no sequence to be learnt: what a model reaches on it says nothing.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyarrow import parquet

__all__ = ["LargeLog"]

_BLOCK_ROWS = 1 << 20
_FIRST_SECOND, _SECONDS = 1_577_836_800, 2 * 365 * 86_400  # two years from 2020 on
_LATE_SECONDS = 3600
# Zipf-Mandelbrot: rank r, from 1, has a share in proportion to 1 / (r + shift).
_ITEM_SHIFT = 50
_USERS_PER_SHIFT = 20


@dataclass(frozen=True)
class LargeLog:
    """Random log, nearly in time order, with user and item frequencies after Zipf's law.

    Every user and every item occurs. Ids are whole numbers from 0 that tell nothing of a rank.

    Attributes
    ----------
    interactions : int
        Number of rows.
    users, items : int
        Numbers of users and items, at most as many as interactions.
    seed : int
        Seed, 0 or more.
    """

    interactions: int
    users: int
    items: int
    seed: int = 0

    def blocks(self) -> Iterator[pa.RecordBatch]:
        """Draw the rows in order, in blocks of 2^20: ids and ``timestamp`` (seconds)."""
        for number, begin in enumerate(range(0, self.interactions, _BLOCK_ROWS)):
            rows = np.arange(begin, min(begin + _BLOCK_ROWS, self.interactions))
            random = np.random.default_rng([self.seed, number])
            users = _draw_numbers(random, rows, self.users, self.interactions, self.users / _USERS_PER_SHIFT)
            items = _draw_numbers(random, rows, self.items, self.interactions, _ITEM_SHIFT)
            times = _FIRST_SECOND + rows * _SECONDS // self.interactions
            times += random.integers(0, _LATE_SECONDS, len(rows))  # events that come late
            yield pa.record_batch({"user_id": users, "item_id": items, "timestamp": times})

    def write(self, path: Path) -> None:
        """Write the rows to a Parquet file, a row group for each block."""
        schema = pa.schema([(name, pa.int64()) for name in ("user_id", "item_id", "timestamp")])
        with parquet.ParquetWriter(path, schema) as writer:
            for block in self.blocks():
                writer.write_batch(block, row_group_size=_BLOCK_ROWS)


def zipf_ranks(uniform: NDArray[np.float64], count: int, shift: float) -> NDArray[np.int64]:
    """Zipf-Mandelbrot ranks from 0, by inverting the distribution function.

    The inverse has a closed form for a density of 1 / (x + shift).

    Parameters
    ----------
    uniform : ndarray of float64
        Numbers from 0 to 1.
    count : int
        Number of ranks.
    shift : float
        Shift of the Zipf-Mandelbrot law, above 0.

    Returns
    -------
    ndarray of int64
        Rank r with the probability ``log((r + 1 + shift) / (r + shift)) / log((count + shift) / shift)``.
    """
    ranks = shift * (np.exp(uniform * math.log((count + shift) / shift)) - 1)
    return np.minimum(ranks.astype(np.int64), count - 1)


def _draw_numbers(
    random: np.random.Generator, rows: NDArray[np.int64], count: int, interactions: int, shift: float
) -> NDArray[np.int64]:
    """Draw numbers of users or items; at regular rows each has its turn, so that all occur."""
    ranks = zipf_ranks(random.random(len(rows)), count, shift)
    step = interactions // count
    turn = (rows % step == 0) & (rows // step < count)
    ranks[turn] = rows[turn] // step
    return _permute(ranks, count)


def _permute(ranks: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """Permute 0 to count - 1, so that an id does not reveal the rank.

    Multiplication modulo `count` is a permutation if the factor is coprime to `count`.
    """
    factor = int(count * 0.618) | 1
    while math.gcd(factor, count) != 1:
        factor += 2
    return ranks * factor % count
