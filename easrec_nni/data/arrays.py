"""Arrays on disk that are written in parts and then mapped, and places in arrays that lie in parts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

__all__ = ["ArrayWriter", "counts_of", "ranges"]

_CHUNK = 1 << 22


class ArrayWriter:
    """A file of NumPy's format to which one-dimensional parts are appended.

    Parameters
    ----------
    path : Path
        The file.
    dtype : dtype
        Type of its numbers.
    """

    def __init__(self, path: Path, dtype: DTypeLike) -> None:
        self._path, self._dtype, self._length = path, np.dtype(dtype), 0
        self._file = path.open("wb")
        self._write_header()

    def append(self, part: NDArray[np.generic]) -> None:
        """Write what comes next."""
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


def ranges(begins: NDArray[np.integer[Any]], lengths: NDArray[np.integer[Any]]) -> NDArray[np.int64]:
    """Numbers from each beginning on, as many as its length, one after another.

    Parameters
    ----------
    begins, lengths : ndarray of int, shape [parts]
        First number and how many.

    Returns
    -------
    ndarray of int64, shape [sum of lengths]
        All numbers.

    Examples
    --------
    >>> ranges(np.array([5, 0]), np.array([2, 3])).tolist()
    [5, 6, 0, 1, 2]
    """
    return np.arange(lengths.sum()) + np.repeat(begins - np.cumsum(lengths) + lengths, lengths)


def counts_of(numbers: NDArray[np.integer[Any]], size: int) -> NDArray[np.int64]:
    """How often each number occurs, without a copy of the array in a wider type.

    Parameters
    ----------
    numbers : ndarray of int
        Numbers from 0 to `size` - 1.
    size : int
        How many numbers there are.

    Returns
    -------
    ndarray of int64, shape [size]
        The counts.
    """
    counts = np.zeros(size, dtype=np.int64)
    for start in range(0, len(numbers), _CHUNK):
        counts += np.bincount(numbers[start : start + _CHUNK], minlength=size)
    return counts
