"""Per-user states: tensors with one slot per user that grow with the number of users."""

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
    """States of users in slots of shared tensors.

    Parameters
    ----------
    config
        Configuration of the network.
    dtype
        Data type of products and sums.
    keep_seen
        Whether to store one bit per user and item for the items a user had.

    Attributes
    ----------
    slots
        Slot of each user.
    tensors
        Tensors by name, with the slots in dimension :data:`SLOT_AXIS`:
        ``products`` ``[L, capacity, heads, d_h, d_h]`` and ``sums`` ``[L, capacity, heads, d_h]`` (width 0 if
        the form of attention has none), the state of :class:`~search_spaces.attention.running.RunningAttention`;
        ``newest`` ``[capacity, d]``, network output after the last event; ``counts`` ``[capacity]``, events since
        the user's state began; ``seen`` ``[capacity, bytes]``, little-endian bits.
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
        """Number of allocated slots."""
        return len(self.tensors["counts"])

    @property
    def bytes_per_user(self) -> int:
        """Bytes per slot, without the user's id and its table entry (about 100 bytes)."""
        total = 0
        for name, tensor in self.tensors.items():
            shape = [size for axis, size in enumerate(tensor.shape) if axis != self.SLOT_AXIS[name]]
            total += int(np.prod(shape, dtype=np.int64)) * tensor.element_size()
        return total

    def find(self, users: Sequence[str]) -> NDArray[np.int64]:
        """Slot of each user, -1 for unknown users."""
        slots = self.slots
        return np.fromiter((slots.get(user, -1) for user in users), np.int64, len(users))

    def claim(self, users: Sequence[str]) -> NDArray[np.int64]:
        """Slot of each user; new users get an empty one."""
        slots = self.find(users)
        if len(slots) and slots.min() < 0:
            new = [user for user in dict.fromkeys(users) if user not in self.slots]
            self._reserve(len(new))
            free = [self._free.pop() for _ in new]
            self.clear(np.asarray(free))
            self.slots.update(zip(new, free, strict=True))
            slots = self.find(users)
        return slots

    def forget(self, users: Sequence[str]) -> int:
        """Drop users' states; return how many there were."""
        freed = [self.slots.pop(user) for user in dict.fromkeys(users) if user in self.slots]
        self._free.extend(freed)
        return len(freed)

    def clear(self, slots: NDArray[np.int64]) -> None:
        """Reset slots to the empty state."""
        index = torch.from_numpy(slots)
        for name, tensor in self.tensors.items():
            tensor.index_fill_(self.SLOT_AXIS[name], index, 0)

    def _reserve(self, count: int) -> None:
        """Ensure ``count`` free slots; capacity grows by half, i.e. O(1) amortised per user."""
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

    def export(self) -> tuple[list[str], dict[str, Tensor]]:
        """Users in the order of their slots, and their slots of the tensors."""
        users = sorted(self.slots, key=self.slots.__getitem__)
        index = torch.tensor([self.slots[user] for user in users], dtype=torch.int64)
        return users, {name: tensor.index_select(self.SLOT_AXIS[name], index) for name, tensor in self.tensors.items()}

    def replace(self, users: Sequence[str], tensors: dict[str, Tensor]) -> None:
        """Replace all states with those that :meth:`export` returned."""
        self.tensors = {name: tensor.contiguous() for name, tensor in tensors.items()}
        self.slots = {user: slot for slot, user in enumerate(users)}
        self._free = []

    def mark_seen(self, slots: NDArray[np.int64], items: NDArray[np.int64]) -> None:
        """Record that users had items: ``slots[i]`` the item ``items[i]``."""
        bits = self.tensors["seen"].numpy()
        np.bitwise_or.at(bits, (slots, items >> 3), (1 << (items & 7)).astype(np.uint8))

    def seen(self, slots: NDArray[np.int64], n_items: int) -> Tensor:
        """Items each user had, ``[B, n_items + 1]`` of bool."""
        bits = self.tensors["seen"].numpy()[slots]
        return torch.from_numpy(np.unpackbits(bits, axis=1, count=n_items + 1, bitorder="little").astype(bool))
