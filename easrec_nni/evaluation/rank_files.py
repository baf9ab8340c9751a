"""``ranks.npz``: ranks of a run's targets, written and read."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from easrec_nni.common.errors import UserError
from easrec_nni.common.files import atomic_write
from easrec_nni.evaluation.figures import TEST_USERS

__all__ = ["read_ranks", "write_ranks"]


def write_ranks(ranks: Mapping[str, NDArray[np.int64]], path: Path) -> None:
    """Write ranks atomically as one compressed file."""
    with atomic_write(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, **{name: array.astype(np.int64) for name, array in ranks.items()})


def read_ranks(file: Path, names: Sequence[str], remedy: str) -> dict[str, NDArray[np.int64]]:
    """Read arrays of ranks, and the user of each test target where users have several.

    Parameters
    ----------
    file
        File of a run's or cell's ranks.
    names
        Names of the arrays, such as ``test_full``; those of the test targets have one shape.
    remedy
        Advice for a damaged file, at the end of the message.

    Returns
    -------
    dict
        Ranks ``[targets]`` by the given names; with ``test_users`` if the file has it.

    Raises
    ------
    UserError
        The file is damaged, or an array is missing.
    """
    try:
        with np.load(file, allow_pickle=False) as arrays:
            ranks = {name: np.asarray(arrays[name]) for name in names}
            users = np.asarray(arrays[TEST_USERS]) if TEST_USERS in arrays.files else None
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise UserError(f"{file} is damaged ({error}); {remedy}") from None
    if any(array.ndim != 1 or array.dtype.kind != "i" or not array.size or array.min() < 1 for array in ranks.values()):
        raise UserError(f"{file} is damaged (ranks are whole numbers from 1, in one row); {remedy}")
    if users is None:
        return ranks
    tested = [array for name, array in ranks.items() if name.startswith("test_")]
    if users.dtype.kind != "i" or any(array.shape != users.shape for array in tested):
        raise UserError(f"{file} is damaged (there is one user for each target); {remedy}")
    return ranks | {TEST_USERS: users}
