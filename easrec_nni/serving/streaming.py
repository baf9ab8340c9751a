"""Recommendations from a stream of events, with a state of constant size per user."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from easrec_nni.architecture.run_folder import open_run
from easrec_nni.common.errors import UserError
from easrec_nni.data.dataset import Dataset
from easrec_nni.evaluation.scoring import evaluation_batch_size, network_device
from easrec_nni.serving.bulk import read_histories
from easrec_nni.serving.history import item_numbers
from easrec_nni.serving.state_files import read_states, write_states
from easrec_nni.serving.states import UserStates
from easrec_nni.serving.step import LARGEST_TABLES, StepPlan
from easrec_nni.serving.streamable import check_streamable
from search_spaces import EASRecNetwork

__all__ = ["Recommendations", "StreamingRecommender"]

Ids = Sequence[Any] | NDArray[Any] | str | int
PRECISIONS = {"double": torch.float64, "single": torch.float32}


class Recommendations(NamedTuple):
    """Best items of a batch of users.

    Attributes
    ----------
    items
        ``[B, k]``, best first: ids of the dataset, or numbers without one; empty (0) if fewer items are left.
    scores
        ``[B, k]``, minus infinity if fewer items are left.
    """

    items: NDArray[Any]
    scores: NDArray[np.float32]


class StreamingRecommender:
    """Streaming recommender: updates and recommends in constant time per event.

    A user's state is that of causal linear attention, ``d_h × d_h`` numbers per head and layer, and the network output
    after the last event. Recommendations equal those of the network on the whole history, without a window.

    Beyond the ``max_length`` (N) interactions that the network was trained on, behaviour depends on its positions:

    * ``none``: no change; the state covers all events. Train with an N that histories reach.
    * ``from_start``: position N was never trained. ``beyond="clamp"`` gives all later events the last row of the
      position embeddings; ``beyond="restart"`` resets the user's state before event N + 1.
    * ``from_end`` (the default of training) is refused: each event would change the embeddings of all earlier ones.

    It runs on the CPU, reads the weights once when it is created, and is not thread-safe. Matrix products of one event
    are too small for several cores: set ``OMP_NUM_THREADS=1`` if users arrive one at a time.

    Parameters
    ----------
    network
        Network of one architecture, causal, with linrec or elu attention, on the CPU.
    item_ids
        Ids of the dataset by item number, entry 0 for padding; None: items are item numbers.
    beyond
        ``clamp`` or ``restart``, see above.
    precision
        Precision of the state. ``double`` equals the network after any number of events; ``single`` halves the memory
        and loses digits slowly: scores are off by some 1e-4 after 10,000 events.
    keep_seen
        Store one bit per user and item, so that :meth:`recommend` can leave out items a user had.
    largest_tables
        Maximum bytes of precomputed values by item (first projections, gates); beyond, they are computed per event.

    Attributes
    ----------
    events
        Number of events processed, including those of loaded states.
    saved
        Time when the loaded file of states was written; None without one, and for files of earlier versions.

    Raises
    ------
    UserError
        The network cannot be streamed; the message names the setting to train with.
    ValueError
        An unknown ``beyond`` or ``precision``.

    Examples
    --------
    >>> from easrec_nni import EASRecSpace, SpaceConfig
    >>> config = SpaceConfig(n_items=50, max_length=20, hidden=16, inner=32, heads=2, layers=2, positions="none")
    >>> stream = StreamingRecommender(EASRecSpace(config).freeze(config.largest))
    >>> stream.update(["ann", "bob"], [3, 7])
    >>> stream.update_and_recommend(["ann"], [4], k=5).items.shape
    (1, 5)
    >>> stream.users, stream.bytes_per_user
    (2, 2120)
    """

    def __init__(
        self,
        network: EASRecNetwork,
        *,
        item_ids: Sequence[str] | NDArray[np.str_] | None = None,
        beyond: Literal["clamp", "restart"] = "clamp",
        precision: Literal["double", "single"] = "double",
        keep_seen: bool = False,
        largest_tables: int = LARGEST_TABLES,
    ) -> None:
        check_streamable(network.config)
        if network_device(network).type != "cpu" or next(network.parameters()).dtype != torch.float32:
            raise UserError("a stream runs on the CPU in float32: give network.cpu().float()")
        if beyond not in ("clamp", "restart") or precision not in PRECISIONS:
            raise ValueError(f"beyond={beyond!r} must be clamp or restart, precision={precision!r} double or single")
        self.network, self.config, self.beyond, self.precision = network.eval(), network.config, beyond, precision
        self.keep_seen = keep_seen
        self.plan = StepPlan(network, PRECISIONS[precision], largest_tables)
        self.states = UserStates(self.config, PRECISIONS[precision], keep_seen)
        self.events = 0
        self.saved: datetime | None = None
        self.item_ids = None if item_ids is None else np.asarray(item_ids)
        if self.item_ids is not None and len(self.item_ids) != self.config.n_items + 1:
            raise UserError(
                f"item_ids has {len(self.item_ids)} entries: give one for padding and one for each of the network's "
                f"{self.config.n_items} items"
            )
        self._numbers = None if self.item_ids is None else {str(name): i for i, name in enumerate(self.item_ids) if i}
        self._batch_size = evaluation_batch_size(self.config.n_items)

    @classmethod
    def load(
        cls, folder: str | Path, data: Dataset | str | Path | None = None, *, numbers: bool = False, **options: Any
    ) -> StreamingRecommender:
        """Create a stream from a folder that ``easrec retrain`` wrote.

        Parameters
        ----------
        folder
            Folder with ``architecture.json`` and ``weights.safetensors``.
        data
            Dataset with the item ids; the run's by default.
        numbers
            Whether items are item numbers, so that no dataset is needed.
        options
            Options of the constructor.

        Raises
        ------
        UserError
            The folder or the dataset cannot be read, they do not match, or the network cannot be streamed.
        """
        network, dataset = open_run(folder, data, needs_dataset=not numbers)
        item_ids = None if numbers or dataset is None else np.asarray(dataset.item_ids)
        return cls(network, item_ids=item_ids, **options)

    @property
    def users(self) -> int:
        """Number of users with a state."""
        return len(self.states.slots)

    @property
    def bytes_per_user(self) -> int:
        """Bytes of a user's state, without the user's id."""
        return self.states.bytes_per_user

    @torch.inference_mode()
    def update(self, users: Ids, items: Ids) -> None:
        """Process events; several events of one user in the given order.

        Parameters
        ----------
        users
            ``[B]`` ids, strings or integers; 7 and "7" are the same user. New users start with an empty state.
        items
            ``[B]`` item ids of the dataset, or item numbers without a dataset.

        Raises
        ------
        UserError
            An item is unknown, or the numbers of users and items differ. No event is processed then.
        """
        self._update(users, items)

    @torch.inference_mode()
    def recommend(self, users: Ids, k: int = 10, exclude_seen: bool = False) -> Recommendations:
        """Best items for users, given their events so far.

        Parameters
        ----------
        users
            ``[B]`` ids.
        k
            Number of items per user, up to the catalogue's size.
        exclude_seen
            Whether to leave out items a user had; needs ``keep_seen=True`` from the start.

        Raises
        ------
        UserError
            A user has no events yet, k is out of range, or ``exclude_seen`` without ``keep_seen``.
        """
        self._check(k, exclude_seen)
        names = _names(users)
        slots = self.states.find(names)
        if len(slots) and slots.min() < 0:
            unknown = names[int(slots.argmin())]
            raise UserError(f"no events of user {unknown!r} yet: send an event with an item first")
        return self._best(slots, k, exclude_seen)

    @torch.inference_mode()
    def update_and_recommend(self, users: Ids, items: Ids, k: int = 10, exclude_seen: bool = False) -> Recommendations:
        """Process events (:meth:`update`), then recommend to their users (:meth:`recommend`).

        If a user has several events, all their rows hold the items after the last one.
        """
        self._check(k, exclude_seen)
        return self._best(self._update(users, items), k, exclude_seen)

    @torch.inference_mode()
    def fit_histories(self, users: Ids, items: Ids, offsets: Sequence[int] | NDArray[np.integer[Any]]) -> None:
        """Compute users' states from whole histories, atomic_write earlier states.

        Parameters
        ----------
        users
            ``[U]`` distinct ids.
        items
            Events of all users, one user after the other, oldest first.
        offsets
            ``[U + 1]``; user u's events are ``items[offsets[u]:offsets[u + 1]]``. Users without events get no state.

        Raises
        ------
        UserError
            A user occurs twice, offsets do not fit, or an item is unknown. No state is changed then.
        """
        names, numbers, bounds = _names(users), self._item_numbers(items), np.asarray(offsets, np.int64)
        if len(bounds) != len(names) + 1 or bounds[0] < 0 or bounds[-1] > len(numbers) or (np.diff(bounds) < 0).any():
            raise UserError(
                f"offsets must be {len(names) + 1} non-decreasing numbers from 0 to {len(numbers)}, one more than users"
            )
        if len(set(names)) != len(names):
            raise UserError("a user occurs twice: give all events of a user together, under one id")
        self._fit(names, numbers, bounds[:-1], bounds[1:])

    @torch.inference_mode()
    def fit_dataset(self, dataset: Dataset, before: Literal["valid", "test"] | None = None) -> None:
        """Compute users' states from a dataset's histories.

        Parameters
        ----------
        dataset
            Dataset that the network was trained on.
        before
            Use only evaluated users, with their events before this part's targets; None: all users and events.

        Raises
        ------
        UserError
            The dataset's items are not the network's.
        """
        ids = self.item_ids
        if dataset.n_items != self.config.n_items or (ids is not None and not np.array_equal(ids, dataset.item_ids)):
            raise UserError(
                f"the items of {dataset.name} are not those of this stream: give the dataset it was trained on"
            )
        begins, ends, names = dataset.offsets[:-1], dataset.offsets[1:], dataset.user_ids[:]
        if before is not None:
            targets = dataset.split.part(before)
            rows = targets.first_rows
            begins, ends, names = begins[targets.users[rows]], targets.history_ends[rows], names[targets.users[rows]]
        self._fit(_names(names), np.asarray(dataset.items, np.int64), begins, ends)

    def forget(self, user: str | int) -> bool:
        """Drop a user's state; return whether there was one."""
        return bool(self.states.forget(_names(user)))

    def save(self, path: str | Path) -> None:
        """Write all states to a safetensors file, atomically."""
        write_states(Path(path), self.states, self.network, self._settings(), self.events)

    def load_state(self, path: str | Path) -> None:
        """Replace the present states with those of a file that :meth:`save` wrote.

        Raises
        ------
        UserError
            The file is missing or damaged, or does not match the network or the settings; the present states stay then.
        """
        loaded = read_states(Path(path), self.states, self.network, self._settings())
        self.states.replace(loaded.users, loaded.tensors)
        self.events, self.saved = loaded.events, loaded.saved

    def _settings(self) -> dict[str, str]:
        return {"beyond": self.beyond, "precision": self.precision, "keep_seen": str(self.keep_seen).lower()}

    def _check(self, k: int, exclude_seen: bool) -> None:
        if not 1 <= k <= self.config.n_items:
            raise UserError(f"k={k}: give a number from 1 to {self.config.n_items}, the number of items")
        if exclude_seen and not self.keep_seen:
            raise UserError("exclude_seen needs a record of users' items: create the stream with keep_seen=True")

    def _item_numbers(self, items: Ids) -> NDArray[np.int64]:
        return item_numbers(_names(items), self.config.n_items, self._numbers)

    def _update(self, users: Ids, items: Ids) -> NDArray[np.int64]:
        """Process events; return their users' slots."""
        names, numbers = _names(users), self._item_numbers(items)
        if len(names) != len(numbers):
            raise UserError(f"{len(names)} users and {len(numbers)} items: give one item for each user")
        slots = self.states.claim(names)
        self._process(slots, numbers)
        self.events += len(names)
        return slots

    def _process(self, slots: NDArray[np.int64], items: NDArray[np.int64]) -> None:
        """Process events so that each step has at most one event per user, oldest first."""
        if self.keep_seen:
            self.states.mark_seen(slots, items)
        if len(slots) == 1:
            self._advance(slots, items)
            return
        order = np.argsort(slots, kind="stable")
        is_first = np.diff(slots[order], prepend=-1) != 0
        begins = np.flatnonzero(is_first)
        # Number of each event among its user's, in the order of ``order``: step t takes the t-th event of every user.
        step = np.arange(len(order)) - np.repeat(begins, np.diff(begins, append=len(order)))
        for number in range(int(step.max(initial=-1)) + 1):
            rows = order[step == number]
            for begin in range(0, len(rows), self._batch_size):
                part = rows[begin : begin + self._batch_size]
                self._advance(slots[part], items[part])

    def _advance(self, slots: NDArray[np.int64], items: NDArray[np.int64]) -> None:
        """Process one event of each of several distinct users."""
        tensors = self.states.tensors
        products, sums, newest, counts = (tensors[name] for name in ("products", "sums", "newest", "counts"))
        places = counts.numpy()[slots]
        if self.beyond == "restart" and self.config.positions == "from_start":
            places = self._restart(slots, places)
        if len(slots) == 1:  # views instead of copies
            one = slice(int(slots[0]), int(slots[0]) + 1)
            newest[one] = self.plan.run(items, places, products[:, one], sums[:, one])
        else:
            index = torch.from_numpy(slots)
            matrices, vectors = products.index_select(1, index), sums.index_select(1, index)
            newest.index_copy_(0, index, self.plan.run(items, places, matrices, vectors))
            products.index_copy_(1, index, matrices)
            sums.index_copy_(1, index, vectors)
        counts.numpy()[slots] = places + 1

    def _restart(self, slots: NDArray[np.int64], places: NDArray[np.int64]) -> NDArray[np.int64]:
        full = places >= self.config.max_length
        if full.any():
            index = torch.from_numpy(slots[full])
            for name in ("products", "sums"):
                self.states.tensors[name].index_fill_(1, index, 0)
        return np.where(full, 0, places)

    def _fit(
        self, names: list[str], items: NDArray[np.int64], begins: NDArray[np.int64], ends: NDArray[np.int64]
    ) -> None:
        nonempty = np.flatnonzero(ends > begins)
        begins, ends, names = begins[nonempty], ends[nonempty], [names[user] for user in nonempty]
        events = int((ends - begins).sum())
        slots = self.states.claim(names)
        self.states.clear(slots)
        if self.keep_seen:
            for user, slot in enumerate(slots):  # user by user, so that no copy of a large log is made
                history = items[begins[user] : ends[user]]
                self.states.mark_seen(np.full(len(history), slot), history)
        if self.beyond == "restart" and self.config.positions == "from_start":
            begins = ends - ((ends - begins - 1) % self.config.max_length + 1)
        tensors = self.states.tensors
        tensors["counts"].numpy()[slots] = ends - begins

        def store(users: NDArray[np.int64], newest: Any, products: Any, sums: Any) -> None:
            index = torch.from_numpy(slots[users])
            tensors["newest"].index_copy_(0, index, newest)
            tensors["products"].index_copy_(1, index, products)
            tensors["sums"].index_copy_(1, index, sums[..., : tensors["sums"].shape[-1]])

        read_histories(self.network, items, begins, ends, store, PRECISIONS[self.precision])
        self.events += events

    def _best(self, slots: NDArray[np.int64], k: int, exclude_seen: bool) -> Recommendations:
        newest = self.states.tensors["newest"].numpy()
        parts = [slots[begin : begin + self._batch_size] for begin in range(0, max(1, len(slots)), self._batch_size)]
        results = []
        for part in parts:
            seen = self.states.seen(part, self.config.n_items) if exclude_seen else None
            results.append(self.plan.best(newest[part], k, seen))
        scores, items = results[0] if len(results) == 1 else map(np.concatenate, zip(*results, strict=True))
        if exclude_seen:
            items[scores == -np.inf] = 0
        return Recommendations(items if self.item_ids is None else self.item_ids[items], scores)


def _names(ids: Ids) -> list[str]:
    """Ids as strings, without a Python-level loop."""
    if isinstance(ids, str | int | np.generic):
        return [str(ids)]
    return list(map(str, ids.tolist() if isinstance(ids, np.ndarray) else ids))
