"""Arrays written to disk in parts, counts of numbers, and places in ranges."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

__all__ = ["ArrayWriter", "counts", "places_between"]

_NUMBERS_PER_CHUNK = 1 << 22


class ArrayWriter:
    """NumPy file to which one-dimensional parts are appended.

    Parameters
    ----------
    path : Path
        Path of the file.
    dtype : dtype
        Type of its numbers.
    """

    def __init__(self, path: Path, dtype: DTypeLike) -> None:
        self._path, self._dtype, self._length = path, np.dtype(dtype), 0
        self._file = path.open("wb")
        self._write_header()

    def append(self, part: NDArray[np.generic]) -> None:
        """Append a part."""
        self._file.write(np.ascontiguousarray(part, dtype=self._dtype).data)
        self._length += len(part)

    def close(self) -> NDArray[np.generic]:
        """Finish the file and map it, read-only."""
        self._file.seek(0)
        self._write_header()
        self._file.close()
        if self._length == 0:  # an empty file cannot be mapped
            return np.zeros(0, dtype=self._dtype)
        mapped: NDArray[np.generic] = np.load(self._path, mmap_mode="r", allow_pickle=False)
        return mapped

    def _write_header(self) -> None:
        # NumPy leaves room in the header for a larger first dimension.
        description = {"descr": self._dtype.str, "fortran_order": False, "shape": (self._length,)}
        np.lib.format.write_array_header_1_0(self._file, description)


def counts(numbers: NDArray[np.integer[Any]], size: int) -> NDArray[np.int64]:
    """Count each number from 0 to ``size`` - 1, without a copy of a long array.

    Examples
    --------
    >>> counts(np.array([2, 0, 2]), 4).tolist()
    [1, 0, 2, 0]
    """
    total = np.zeros(size, dtype=np.int64)
    for start in range(0, len(numbers), _NUMBERS_PER_CHUNK):
        total += np.bincount(numbers[start : start + _NUMBERS_PER_CHUNK], minlength=size)
    return total


def places_between(starts: NDArray[np.int64], ends: NDArray[np.int64]) -> NDArray[np.int64]:
    """All places from each start up to its end (exclusive), one range after the other.

    Examples
    --------
    >>> places_between(np.array([0, 4, 7]), np.array([2, 4, 9])).tolist()
    [0, 1, 7, 8]
    """
    lengths = ends - starts
    # A running number, plus the start of its range less the number at which the range begins.
    return np.arange(lengths.sum(), dtype=np.int64) + np.repeat(starts - np.cumsum(lengths) + lengths, lengths)
