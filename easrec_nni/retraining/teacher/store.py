"""Arrays of a teacher in a run's state folder, memory-mapped and found by the places of the targets."""

from __future__ import annotations

import logging
import math
import os
import shutil
from abc import abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import DTypeLike, NDArray
from torch import Tensor

from easrec_nni.common.errors import UserError
from easrec_nni.common.files import atomic_write
from easrec_nni.training.losses.soft_targets import SoftTargets, StateTargets, Teacher, TopTargets

__all__ = ["StoredStates", "StoredTop", "new_arrays", "open_store", "remove_store", "states_arrays", "top_arrays"]

PREFIX = "teacher-"
PLACES, STATES, VECTORS, ITEMS, PROBABILITIES = "places", "states", "vectors", "items", "probabilities"
SPARE_BYTES = 64 << 20
"""Disk space that must stay free for the checkpoints."""

Shapes = Mapping[str, tuple[tuple[int, ...], DTypeLike]]

_logger = logging.getLogger(__name__)


def states_arrays(positions: int, width: int, n_items: int) -> Shapes:
    """Arrays of a teacher's states and item vectors."""
    return {
        PLACES: ((positions,), np.int64),
        STATES: ((positions, width), np.float16),
        VECTORS: ((n_items, width), np.float32),
    }


def top_arrays(positions: int, best: int) -> Shapes:
    """Arrays of a teacher's best items at each position."""
    return {
        PLACES: ((positions,), np.int64),
        ITEMS: ((positions, best), np.int32),
        PROBABILITIES: ((positions, best), np.float32),
    }


@contextmanager
def new_arrays(folder: Path, shapes: Shapes, what: str) -> Iterator[Mapping[str, NDArray[Any]]]:
    """Create arrays on disk for writing; they take their names when the block succeeds, the places last.

    Parameters
    ----------
    folder
        Folder of the files.
    shapes
        Shape and type of each array, the places first.
    what
        Content, for the log.

    Raises
    ------
    UserError
        The disk has too little space.
    """
    size = sum(math.prod(shape) * np.dtype(dtype).itemsize for shape, dtype in shapes.values())
    free = shutil.disk_usage(folder).free
    if size + SPARE_BYTES > free:
        raise UserError(
            f"the teacher's {what} take {size / 1e6:,.0f} MB and {folder} has {free / 1e6:,.0f} MB free: make room, or "
            "choose an --out on another disk"
        )
    _logger.info("storing the teacher's %s in %s: %s MB", what, folder, f"{size / 1e6:,.1f}")
    with ExitStack() as stack:
        arrays = {}
        for name, (shape, dtype) in shapes.items():
            arrays[name] = _new_array(stack.enter_context(atomic_write(_file(folder, name))), shape, dtype)
        yield arrays
        for array in arrays.values():
            array.flush()


def _new_array(path: Path, shape: tuple[int, ...], dtype: DTypeLike) -> np.memmap[Any, Any]:
    """Map a new file of zeros whose blocks are reserved: writing to a map on a full disk would kill the process."""
    array = np.lib.format.open_memmap(path, mode="w+", dtype=dtype, shape=shape)
    if hasattr(os, "posix_fallocate"):
        with path.open("r+b") as file:
            os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
    return array


def _file(folder: Path, name: str) -> Path:
    return folder / f"{PREFIX}{name}.npy"


def remove_store(folder: Path) -> None:
    """Delete the arrays of a folder."""
    for file in folder.glob(f"{PREFIX}*.npy"):
        file.unlink(missing_ok=True)


def open_store(folder: Path, temperature: float) -> StoredStates | StoredTop | None:
    """Open the stored arrays; None if they are missing, incomplete or damaged.

    Parameters
    ----------
    folder
        Folder of the arrays.
    temperature
        Temperature of the distillation.
    """
    places = _load(folder, PLACES)
    states, vectors = _load(folder, STATES), _load(folder, VECTORS)
    if places is not None and states is not None and vectors is not None:
        return StoredStates(places, states, vectors / temperature) if len(states) == len(places) else None
    items, probabilities = _load(folder, ITEMS), _load(folder, PROBABILITIES)
    if places is not None and items is not None and probabilities is not None:
        return StoredTop(places, items, probabilities) if len(items) == len(probabilities) == len(places) else None
    return None


def _load(folder: Path, name: str) -> NDArray[Any] | None:
    try:
        return np.load(_file(folder, name), mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError):
        return None


class _Stored(Teacher):
    """Stored distributions by place.

    Parameters
    ----------
    places
        Places of the covered targets ``[M]`` in the log, ascending.
    """

    def __init__(self, places: NDArray[np.int64]) -> None:
        self.places = np.asarray(places)

    def at(self, places: Tensor) -> tuple[Tensor, SoftTargets]:
        """See :class:`.Teacher`."""
        wanted = places.cpu().numpy()
        rows = np.minimum(np.searchsorted(self.places, wanted), len(self.places) - 1)
        covered = self.places[rows] == wanted
        return torch.from_numpy(covered).to(places.device), self._of_rows(rows[covered], places.device)

    @abstractmethod
    def _of_rows(self, rows: NDArray[np.int64], device: torch.device) -> SoftTargets:
        """Distributions of rows of the store."""


class StoredStates(_Stored):
    """States of a teacher by place, and its item vectors.

    Parameters
    ----------
    places
        Places ``[M]``, ascending.
    states
        States ``[M, w]``, float16.
    items
        Item vectors ``[n_items, w]``, divided by the temperature.
    """

    def __init__(self, places: NDArray[np.int64], states: NDArray[Any], items: NDArray[Any]) -> None:
        super().__init__(places)
        self.states, self.items = states, torch.from_numpy(np.array(items, dtype=np.float32))

    def _of_rows(self, rows: NDArray[np.int64], device: torch.device) -> StateTargets:
        self.items = self.items.to(device)
        return StateTargets(torch.from_numpy(np.asarray(self.states[rows])).to(device).float(), self.items)


class StoredTop(_Stored):
    """Best items of a teacher by place.

    Parameters
    ----------
    places
        Places ``[M]``, ascending.
    items
        Item indices ``[M, k]``, from 0.
    probabilities
        Probabilities ``[M, k]`` of these items, at the temperature of the distillation.
    """

    def __init__(self, places: NDArray[np.int64], items: NDArray[Any], probabilities: NDArray[Any]) -> None:
        super().__init__(places)
        self.items, self.probabilities = items, probabilities

    def _of_rows(self, rows: NDArray[np.int64], device: torch.device) -> TopTargets:
        items, probabilities = (torch.from_numpy(np.asarray(a[rows])) for a in (self.items, self.probabilities))
        return TopTargets(items.to(device).long(), probabilities.to(device))
