"""Ids of users and items: their UTF-8 text end to end, and the offset of each id."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, overload

import numpy as np
from numpy.typing import NDArray

from easrec_nni.data.arrays import places_between

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["IdTable"]


class IdTable:
    """Table of ids by number, mapped from disk.

    It is indexed as an array is: a number gives an id, a slice or an array of numbers an array of ids.

    Parameters
    ----------
    offsets : ndarray of int64, shape [n + 1]
        Id number i is the text from byte ``offsets[i]`` up to byte ``offsets[i + 1]`` (exclusive).
    text : ndarray of uint8
        UTF-8 text of all ids.

    Examples
    --------
    >>> ids = IdTable.of(["", "42", "straße"])
    >>> len(ids), ids[2], ids[[1, 0]].tolist()
    (3, 'straße', ['42', ''])
    """

    def __init__(self, offsets: NDArray[np.int64], text: NDArray[np.uint8]) -> None:
        self.offsets, self.text = offsets, text

    @classmethod
    def of(cls, ids: Iterable[str]) -> IdTable:
        """Table of the given ids."""
        parts = [text.encode() for text in ids]
        lengths = np.fromiter(map(len, parts), dtype=np.int64, count=len(parts))
        return cls(np.concatenate([[0], np.cumsum(lengths)]), np.frombuffer(b"".join(parts), dtype=np.uint8))

    @classmethod
    def of_batches(cls, first: Iterable[str], batches: Iterable[pa.Array]) -> IdTable:
        """Table of the ids in `first`, followed by those in Arrow's arrays of strings."""
        start = cls.of(first)
        offsets, texts = [start.offsets], [start.text]
        total = len(start.text)
        for batch in batches:
            large = batch.cast("large_string")
            _, bounds, data = large.buffers()
            ends = np.frombuffer(bounds, dtype=np.int64)[large.offset : large.offset + len(large) + 1]
            offsets.append(ends[1:] - ends[0] + total)
            texts.append(np.frombuffer(data or b"", dtype=np.uint8)[ends[0] : ends[-1]])
            total += len(texts[-1])
        return cls(np.concatenate(offsets), np.concatenate(texts))

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def shape(self) -> tuple[int]:
        """Shape as an array has it: the number of ids."""
        return (len(self),)

    @overload
    def __getitem__(self, place: int | np.integer[Any]) -> str: ...
    @overload
    def __getitem__(self, place: slice | NDArray[np.generic] | list[int]) -> NDArray[np.object_]: ...
    def __getitem__(self, place: Any) -> str | NDArray[np.object_]:
        if isinstance(place, int | np.integer):
            row = range(len(self))[int(place)]  # negative numbers count from the end
            return self._read(int(self.offsets[row]), int(self.offsets[row + 1]))
        rows = np.arange(*place.indices(len(self))) if isinstance(place, slice) else self._rows(np.asarray(place))
        begins, ends = np.asarray(self.offsets)[rows], np.asarray(self.offsets)[rows + 1]
        result = np.empty(rows.shape, dtype=object)
        result.ravel()[:] = [
            self._read(begin, end) for begin, end in zip(begins.ravel().tolist(), ends.ravel().tolist(), strict=True)
        ]
        return result

    def __iter__(self) -> Iterator[str]:
        return iter(self.tolist())

    def take(self, rows: NDArray[np.int64]) -> IdTable:
        """Table of the given rows, in the given order."""
        begins = np.asarray(self.offsets)[rows]
        lengths = np.asarray(self.offsets)[rows + 1] - begins
        offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        return IdTable(offsets, self.text[places_between(begins, begins + lengths)])

    def sha256(self) -> str:
        """SHA-256 over the ids in their order, in hexadecimal digits."""
        digest = hashlib.sha256(np.ascontiguousarray(self.offsets, dtype="<i8").data)
        digest.update(np.ascontiguousarray(self.text).data)
        return digest.hexdigest()

    def tolist(self) -> list[str]:
        """All ids as a list."""
        return self[:].tolist()

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return self[:] if dtype is None else self[:].astype(dtype)

    def __eq__(self, other: object) -> Any:
        """Compare with a text, or with a table or array element by element, as arrays do."""
        if isinstance(other, str):
            other = np.array([other], dtype=object)  # NumPy's own text would lose a NUL at its end
        return self[:] == (other[:] if isinstance(other, IdTable) else other)

    __hash__ = None  # type: ignore[assignment]

    def _rows(self, places: NDArray[Any]) -> NDArray[np.int64]:
        if places.dtype == bool:
            return np.flatnonzero(places)
        rows = places.astype(np.int64)
        rows[rows < 0] += len(self)
        if rows.size and not (rows.min() >= 0 and rows.max() < len(self)):
            raise IndexError(f"there are {len(self)} ids, numbered from 0")
        return rows

    def _read(self, begin: int, end: int) -> str:
        return self.text[begin:end].tobytes().decode()
