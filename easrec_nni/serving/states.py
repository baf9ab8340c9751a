"""What is kept of each user: tensors with a slot per user, which grow as users come."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from search_spaces import SpaceConfig
from search_spaces.attention.running import has_sums

__all__ = ["UserStates"]

FIRST_CAPACITY = 16


class UserStates:
    """States of users, by slot.

    Parameters
    ----------
    config
        Of the network.
    dtype
        Of the sums over all events.
    keep_seen
        Whether a bit per user and item tells which items the user had.

    Attributes
    ----------
    slots
        Slot of each user.
    tensors
        By name, each with the slots in dimension :data:`SLOT_AXIS`:
        ``products`` ``[L, capacity, heads, d_h, d_h]`` and ``sums`` ``[L, capacity, heads, d_h]`` (width 0 where the
        form of attention has none), the state of :class:`~search_spaces.attention.running.RunningAttention`;
        ``newest`` ``[capacity, d]``, what items are scored with; ``counts`` ``[capacity]``, events since the user's
        state began; ``seen`` ``[capacity, bytes]``, little-endian bits.
    """

    SLOT_AXIS = {"products": 1, "sums": 1, "newest": 0, "counts": 0, "seen": 0}

    def __init__(self, config: SpaceConfig, dtype: torch.dtype, keep_seen: bool) -> None:
        width, layers, heads = config.hidden // config.heads, config.layers, config.heads
        self.slots: dict[str, int] = {}
        self._free: list[int] = []
        self.tensors = {
            "products": torch.zeros(layers, 0, heads, width, width, dtype=dtype),
            "sums": torch.zeros(layers, 0, heads, width if has_sums(config) else 0, dtype=dtype),
            "newest": torch.zeros(0, config.hidden),
            "counts": torch.zeros(0, dtype=torch.int64),
            "seen": torch.zeros(0, (config.n_items + 8) // 8 if keep_seen else 0, dtype=torch.uint8),
        }

    @property
    def capacity(self) -> int:
        """Slots that there is memory for."""
        return len(self.tensors["counts"])

    @property
    def bytes_per_user(self) -> int:
        """Bytes of a slot; the id and the table of ids come on top, some hundred bytes."""
        total = 0
        for name, tensor in self.tensors.items():
            shape = [size for axis, size in enumerate(tensor.shape) if axis != self.SLOT_AXIS[name]]
            total += int(np.prod(shape, dtype=np.int64)) * tensor.element_size()
        return total

    def find(self, users: Sequence[str]) -> NDArray[np.int64]:
        """Slot of each user, -1 where there is none."""
        slots = self.slots
        return np.fromiter((slots.get(user, -1) for user in users), np.int64, len(users))

    def claim(self, users: Sequence[str]) -> NDArray[np.int64]:
        """Slot of each user; users who have none get one with an empty state."""
        found = self.find(users)
        if len(found) and found.min() < 0:
            new = [user for user in dict.fromkeys(users) if user not in self.slots]
            self._reserve(len(new))
            taken = [self._free.pop() for _ in new]
            self.clear(np.asarray(taken))
            self.slots.update(zip(new, taken, strict=True))
            found = self.find(users)
        return found

    def forget(self, users: Sequence[str]) -> int:
        """Drop users' states; returns how many there were."""
        gone = [self.slots.pop(user) for user in dict.fromkeys(users) if user in self.slots]
        self._free.extend(gone)
        return len(gone)

    def clear(self, slots: NDArray[np.int64]) -> None:
        """Make slots empty."""
        index = torch.from_numpy(slots)
        for name, tensor in self.tensors.items():
            tensor.index_fill_(self.SLOT_AXIS[name], index, 0)

    def _reserve(self, count: int) -> None:
        """Have at least ``count`` free slots; capacity grows by half, so that users cost O(1) each on average."""
        missing = count - len(self._free)
        if missing <= 0:
            return
        old = self.capacity
        added = max(missing, FIRST_CAPACITY, old // 2)
        for name, tensor in self.tensors.items():
            axis = self.SLOT_AXIS[name]
            shape = list(tensor.shape)
            shape[axis] = added
            self.tensors[name] = torch.cat([tensor, tensor.new_zeros(shape)], dim=axis)
        self._free.extend(range(old + added - 1, old - 1, -1))

    def taken(self) -> tuple[list[str], dict[str, Tensor]]:
        """Users in the order of their slots, and their parts of the tensors."""
        users = sorted(self.slots, key=self.slots.__getitem__)
        index = torch.tensor([self.slots[user] for user in users], dtype=torch.int64)
        return users, {name: tensor.index_select(self.SLOT_AXIS[name], index) for name, tensor in self.tensors.items()}

    def replace(self, users: Sequence[str], tensors: dict[str, Tensor]) -> None:
        """Take what :meth:`taken` gave."""
        self.tensors = {name: tensor.contiguous() for name, tensor in tensors.items()}
        self.slots = {user: slot for slot, user in enumerate(users)}
        self._free = []

    def mark_seen(self, slots: NDArray[np.int64], items: NDArray[np.int64]) -> None:
        """Note that users had items."""
        bits = self.tensors["seen"].numpy()
        np.bitwise_or.at(bits, (slots, items >> 3), (1 << (items & 7)).astype(np.uint8))

    def seen(self, slots: NDArray[np.int64], n_items: int) -> Tensor:
        """``[B, n_items + 1]``, true where a user had an item."""
        bits = self.tensors["seen"].numpy()[slots]
        return torch.from_numpy(np.unpackbits(bits, axis=1, count=n_items + 1, bitorder="little").astype(bool))
