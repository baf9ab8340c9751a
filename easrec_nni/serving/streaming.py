"""Recommending from a stream of events: each user's past is a state of constant size."""

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
    """Best items of some users.

    Attributes
    ----------
    items
        ``[B, k]``, best first: the dataset's ids, or numbers where no dataset is known; empty (0) where fewer are left.
    scores
        ``[B, k]``, minus infinity where fewer are left.
    """

    items: NDArray[Any]
    scores: NDArray[np.float32]


class StreamingRecommender:
    """Follows users event by event; an event and the best items after it take the same time after any history.

    Kept of a user is the causal linear attention's state, ``d_h × d_h`` numbers per head and layer, and what items are
    scored with. It equals what the network computes from the whole history, without a window.

    What happens beyond the ``max_length`` (N) interactions that the network was trained on depends on its positions:

    * ``none``: nothing; the state goes on, and forgets nothing. Train with an N that the histories reach.
    * ``from_start``: position N was never trained. ``beyond="clamp"`` gives all later events the last row of the
      position embeddings; ``beyond="restart"`` begins the user's state anew with event N + 1.
    * ``from_end`` (the default of training) is refused: each event would change the embeddings of all earlier ones.

    It runs on the processor and takes the weights as they are at the beginning. Calls are not to be made from several
    threads at once. An event's products are too small to be shared out among cores: start the process with
    ``OMP_NUM_THREADS=1`` where users come one at a time.

    Parameters
    ----------
    network
        A network of one architecture, causal, with linrec or elu attention, on the processor.
    item_ids
        The dataset's id of each item number, entry 0 for padding; None: items are item numbers.
    beyond
        ``clamp`` or ``restart``, see above.
    precision
        Of the sums over all events. ``double`` is equal to the network after any number of events; ``single`` takes
        half of the memory and loses digits slowly: scores are off by some 1e-4 after 10,000 events.
    keep_seen
        Keep a bit per user and item, so that :meth:`recommend` can leave out what a user had.
    largest_tables
        Bytes for what depends on an item alone (first projections, gates); where it would be more, it is computed with
        each event.

    Attributes
    ----------
    events
        Number of events that were taken, those before the present states were saved included.
    saved
        When the file that the states were loaded from was written; None before, and for files of earlier versions.

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
            raise UserError("a stream runs on the processor in float32: give network.cpu().float()")
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
        self._at_once = evaluation_batch_size(self.config.n_items)

    @classmethod
    def load(
        cls, folder: str | Path, data: Dataset | str | Path | None = None, *, numbers: bool = False, **options: Any
    ) -> StreamingRecommender:
        """From a folder that ``easrec retrain`` wrote.

        Parameters
        ----------
        folder
            With ``architecture.json`` and ``weights.safetensors``.
        data
            Dataset that translates items' ids, by default the run's.
        numbers
            Items are item numbers, and no dataset is needed.
        options
            The constructor's.

        Raises
        ------
        UserError
            The folder or the dataset cannot be read, they do not fit, or the network cannot be streamed.
        """
        network, dataset = open_run(folder, data, needs_dataset=not numbers)
        item_ids = None if numbers or dataset is None else np.asarray(dataset.item_ids)
        return cls(network, item_ids=item_ids, **options)

    @property
    def users(self) -> int:
        """Users that have a state."""
        return len(self.states.slots)

    @property
    def bytes_per_user(self) -> int:
        """Bytes of a user's state; the user's id comes on top."""
        return self.states.bytes_per_user

    @torch.inference_mode()
    def update(self, users: Ids, items: Ids) -> None:
        """Take events, in the order given where a user has several.

        Parameters
        ----------
        users
            ``[B]`` ids, text or whole numbers; 7 and "7" are the same user. New ones begin with an empty state.
        items
            ``[B]`` the dataset's ids of items, or item numbers where no dataset is known.

        Raises
        ------
        UserError
            An item is unknown, or the numbers of users and items differ. Nothing is taken then.
        """
        self._update(users, items)

    @torch.inference_mode()
    def recommend(self, users: Ids, k: int = 10, exclude_seen: bool = False) -> Recommendations:
        """Best items for users, after the events that were taken.

        Parameters
        ----------
        users
            ``[B]`` ids.
        k
            Items for each, up to the catalogue's size.
        exclude_seen
            Whether to leave out what a user had; needs ``keep_seen=True`` from the beginning.

        Raises
        ------
        UserError
            A user has no events yet, k is out of range, or ``exclude_seen`` was not prepared for.
        """
        self._check(k, exclude_seen)
        names = _names(users)
        slots = self.states.find(names)
        if len(slots) and slots.min() < 0:
            unknown = names[int(slots.argmin())]
            raise UserError(f"there are no events of user {unknown!r} yet: give one with its item first")
        return self._best(slots, k, exclude_seen)

    @torch.inference_mode()
    def update_and_recommend(self, users: Ids, items: Ids, k: int = 10, exclude_seen: bool = False) -> Recommendations:
        """Take events as :meth:`update` does, then recommend to their users as :meth:`recommend` does.

        A user that has several events gets the same items, those after its last one, in each of their rows.
        """
        self._check(k, exclude_seen)
        return self._best(self._update(users, items), k, exclude_seen)

    @torch.inference_mode()
    def fit_histories(self, users: Ids, items: Ids, offsets: Sequence[int] | NDArray[np.integer[Any]]) -> None:
        """Begin from whole histories, read by pieces; what users had before is replaced.

        Parameters
        ----------
        users
            ``[U]`` ids, each once.
        items
            All users' events, one user after the other, oldest first.
        offsets
            ``[U + 1]``; user u's events are ``items[offsets[u]:offsets[u + 1]]``. Users without events get no state.

        Raises
        ------
        UserError
            A user comes twice, offsets do not fit, or an item is unknown. Nothing is taken then.
        """
        names, numbers, bounds = _names(users), self._item_numbers(items), np.asarray(offsets, np.int64)
        if len(bounds) != len(names) + 1 or bounds[0] < 0 or bounds[-1] > len(numbers) or (np.diff(bounds) < 0).any():
            raise UserError(
                f"offsets must be {len(names) + 1} growing numbers from 0 to {len(numbers)}, one more than users"
            )
        if len(set(names)) != len(names):
            raise UserError("a user comes twice: give each user's events together, under one id")
        self._fit(names, numbers, bounds[:-1], bounds[1:])

    @torch.inference_mode()
    def fit_dataset(self, dataset: Dataset, before: Literal["valid", "test"] | None = None) -> None:
        """Begin from a dataset's histories.

        Parameters
        ----------
        dataset
            The one that the items' ids are of.
        before
            Take each evaluated user's events before this part's targets, and no other users; None: all events.

        Raises
        ------
        UserError
            The dataset's items are not the network's.
        """
        own = self.item_ids
        if dataset.n_items != self.config.n_items or (own is not None and not np.array_equal(own, dataset.item_ids)):
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
        """Drop a user's state; returns whether there was one."""
        return bool(self.states.forget(_names(user)))

    def save(self, path: str | Path) -> None:
        """Write all states to a safetensors file, whole or not at all."""
        write_states(Path(path), self.states, self.network, self._settings(), self.events)

    def load_state(self, path: str | Path) -> None:
        """Take the states of a file that :meth:`save` wrote, instead of the present ones.

        Raises
        ------
        UserError
            The file is missing, damaged, or of another network or other settings; the present states stay then.
        """
        read = read_states(Path(path), self.states, self.network, self._settings())
        self.states.replace(read.users, read.tensors)
        self.events, self.saved = read.events, read.saved

    def _settings(self) -> dict[str, str]:
        return {"beyond": self.beyond, "precision": self.precision, "keep_seen": str(self.keep_seen).lower()}

    def _check(self, k: int, exclude_seen: bool) -> None:
        if not 1 <= k <= self.config.n_items:
            raise UserError(f"k={k}: give a number from 1 to {self.config.n_items}, the number of items")
        if exclude_seen and not self.keep_seen:
            raise UserError("exclude_seen needs a stream that notes what users had: make it with keep_seen=True")

    def _item_numbers(self, items: Ids) -> NDArray[np.int64]:
        return item_numbers(_names(items), self.config.n_items, self._numbers)

    def _update(self, users: Ids, items: Ids) -> NDArray[np.int64]:
        """Take events; returns their users' slots."""
        names, numbers = _names(users), self._item_numbers(items)
        if len(names) != len(numbers):
            raise UserError(f"{len(names)} users and {len(numbers)} items: give one item for each user")
        slots = self.states.claim(names)
        self._take(slots, numbers)
        self.events += len(names)
        return slots

    def _take(self, slots: NDArray[np.int64], items: NDArray[np.int64]) -> None:
        """Events of users, a user's first ones first."""
        if self.keep_seen:
            self.states.mark_seen(slots, items)
        if len(slots) == 1:
            self._advance(slots, items)
            return
        order = np.argsort(slots, kind="stable")
        is_first = np.diff(slots[order], prepend=-1) != 0
        begins = np.flatnonzero(is_first)
        turn = np.arange(len(order)) - np.repeat(begins, np.diff(begins, append=len(order)))  # of a user's events
        for number in range(int(turn.max(initial=-1)) + 1):
            chosen = order[turn == number]
            for begin in range(0, len(chosen), self._at_once):
                part = chosen[begin : begin + self._at_once]
                self._advance(slots[part], items[part])

    def _advance(self, slots: NDArray[np.int64], items: NDArray[np.int64]) -> None:
        """One event of each of different users."""
        tensors = self.states.tensors
        products, sums, newest, counts = (tensors[name] for name in ("products", "sums", "newest", "counts"))
        places = counts.numpy()[slots]
        if self.beyond == "restart" and self.config.positions == "from_start":
            places = self._restart(slots, places)
        if len(slots) == 1:  # without copies
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
        some = np.flatnonzero(ends > begins)
        begins, ends, names = begins[some], ends[some], [names[place] for place in some]
        events = int((ends - begins).sum())
        slots = self.states.claim(names)
        self.states.clear(slots)
        if self.keep_seen:
            for user, slot in enumerate(slots):  # user by user, so that a large log is never held twice
                own = items[begins[user] : ends[user]]
                self.states.mark_seen(np.full(len(own), slot), own)
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
        parts = [slots[begin : begin + self._at_once] for begin in range(0, max(1, len(slots)), self._at_once)]
        found = []
        for part in parts:
            seen = self.states.seen(part, self.config.n_items) if exclude_seen else None
            found.append(self.plan.best(newest[part], k, seen))
        scores, items = found[0] if len(found) == 1 else (np.concatenate(each) for each in zip(*found, strict=True))
        if exclude_seen:
            items[scores == -np.inf] = 0
        return Recommendations(items if self.item_ids is None else self.item_ids[items], scores)


def _names(ids: Ids) -> list[str]:
    """Ids as texts, without Python code for each of them."""
    if isinstance(ids, str | int | np.generic):
        return [str(ids)]
    return list(map(str, ids.tolist() if isinstance(ids, np.ndarray) else ids))
