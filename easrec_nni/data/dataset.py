"""A prepared dataset: its arrays, split, negatives and item features."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from easrec_nni.common.errors import UserError
from easrec_nni.data.arrays import counts
from easrec_nni.data.ids import IdTable
from easrec_nni.data.manifest import Manifest
from easrec_nni.data.negatives import training_items, used_negatives
from easrec_nni.data.repeats import Ranking, count_repeats, suited_ranking
from easrec_nni.data.splits import Interactions, Split, make_split
from easrec_nni.data.splits.checks import check_targets, check_trainable

LARGEST_PART = 1 << 24
"""Interactions that are looked at together: 128 MiB of sorted numbers."""


@dataclass(frozen=True)
class ItemFeature:
    """A categorical feature of items, with any number of values per item.

    Attributes
    ----------
    offsets : ndarray of int64, shape [n_items + 2]
        The values of item number i are ``values[offsets[i]:offsets[i + 1]]``; item 0 (padding) has none.
    values : ndarray of int32
        Value numbers, 1 or more; 0 is for padding.
    vocabulary : tuple of str
        Text of each value number; entry 0 is empty.
    """

    offsets: NDArray[np.int64]
    values: NDArray[np.int32]
    vocabulary: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Dataset:
    """A prepared dataset; its arrays are mapped from disk and read-only.

    Attributes
    ----------
    name : str
        Name of the dataset.
    path : Path
        Folder of the dataset.
    manifest : Manifest
        Settings, source and counts of the dataset.
    items : ndarray of int32, shape [interactions]
        Item numbers 1..n_items (0 is for padding), by user and, within a user, by time.
    offsets : ndarray of int64, shape [n_users + 1]
        User u's interactions are ``items[offsets[u]:offsets[u + 1]]``.
    times : ndarray of int64 or float64, shape [interactions]
        Times of the interactions, in the source's unit.
    user_ids : IdTable, or ndarray of str in a folder of version 1, shape [n_users]
        The source's id of each user number.
    item_ids : IdTable, or ndarray of str in a folder of version 1, shape [n_items + 1]
        The source's id of each item number; entry 0 is empty.
    item_features : dict of str to ItemFeature
        Features of the items by name.
    evaluated_users : ndarray of int64 or None
        Sample of the users that are evaluated, ascending; None: all.
    """

    name: str
    path: Path
    manifest: Manifest
    items: NDArray[np.int32]
    offsets: NDArray[np.int64]
    times: NDArray[np.generic]
    user_ids: IdTable | NDArray[np.str_]
    item_ids: IdTable | NDArray[np.str_]
    item_features: dict[str, ItemFeature]
    _negatives: dict[str, NDArray[np.int32]] = field(repr=False)
    evaluated_users: NDArray[np.int64] | None = None
    _used: dict[tuple[str, str], NDArray[np.int32]] = field(default_factory=dict, init=False, repr=False)

    @property
    def n_users(self) -> int:
        """Number of users, evaluated or not."""
        return len(self.user_ids)

    @property
    def n_items(self) -> int:
        """Number of items, without padding."""
        return len(self.item_ids) - 1

    @property
    def fingerprint(self) -> str:
        """SHA-256 over items, offsets and stored negatives, and over any split but leave-one-out."""
        return self.manifest.fingerprint

    @cached_property
    def items_sha256(self) -> str:
        """SHA-256 over the item ids in the order of their numbers: weights trained with equal ones fit this dataset."""
        ids = self.item_ids if isinstance(self.item_ids, IdTable) else IdTable.of(self.item_ids.tolist())
        return ids.sha256()

    @cached_property
    def split(self) -> Split:
        """Split named in the manifest, computed once.

        Raises
        ------
        UserError
            The arrays do not have the targets that the manifest counts.
        """
        info = self.manifest.split
        split = make_split(info.method, Interactions(self.items, self.offsets, self.times), info.resolved)
        if self.evaluated_users is not None:
            split = split.of_users(self.evaluated_users)
        for part, counted in info.parts.items():
            n_targets = len(split.part(part))
            if n_targets != counted.targets:
                raise UserError(
                    f"the dataset in {self.path} is damaged ({n_targets} {part} targets by the split {info.method} "
                    f"instead of {counted.targets}): prepare it again with --force"
                )
        return split

    def trained_through(self, through: Literal["valid", "test"]) -> Dataset:
        """View of the dataset that also trains on further parts, which then have no targets.

        Parameters
        ----------
        through : {"valid", "test"}
            Last part that trains: see :meth:`~easrec_nni.data.splits.base.Split.training_end`.
        """
        view = replace(self)
        vars(view)["split"] = self.split.trained_through(through)  # where the cached property looks first
        return view

    @cached_property
    def suited_ranking(self) -> Ranking:
        """Ranking that suits the log by its share of repeated interactions, as ``prepare`` says."""
        repeats, begin = 0, 0
        while begin < self.n_users:  # whole histories, of a bounded number of interactions together
            end = int(np.searchsorted(self.offsets, self.offsets[begin] + LARGEST_PART, side="right")) - 1
            end = min(max(end, begin + 1), self.n_users)
            lengths = np.diff(self.offsets[begin : end + 1])
            items = self.items[self.offsets[begin] : self.offsets[end]]
            repeats += count_repeats(np.repeat(np.arange(len(lengths)), lengths), items)
            begin = end
        return suited_ranking(repeats, len(self.items))

    @cached_property
    def training_counts(self) -> NDArray[np.int64]:
        """Training interactions of each item: ``[n_items + 1]``, entry 0 (padding) is 0."""
        training = training_items(self.items, self.offsets, self.split)
        return counts(training, self.n_items + 1)

    def check_trainable(self) -> None:
        """Refuse a dataset that leaves nothing to train on, to select by or to evaluate on.

        Raises
        ------
        UserError
            Everything trains, or there is too little: what ``prepare`` refuses today, in a folder that an earlier
            version made. See :mod:`easrec_nni.data.splits.checks`.
        """
        check_targets(self.split, f"the dataset {self.name}: ")
        check_trainable(self.offsets, self.split, self.n_items, f"the dataset {self.name}: ")

    def negatives(self, protocol: str, part: str) -> NDArray[np.int32]:
        """Negatives of a part's targets.

        They depend on the history and on that part's targets, and on nothing later. Test negatives of ``pop100`` and
        ``uni100`` are mapped from disk; the others are made from the stored ones, or from the seed, on first use.

        Parameters
        ----------
        protocol : {"pop100", "uni100", "pop100_recbole"}
            Sampled by popularity in the training part, or uniformly, among what the user did not have; or by
            popularity in the whole log (up to the part's point, where the split has points in time) among all items
            but the target, with replacement, as RecBole does.
        part : {"valid", "test"}
            Part whose targets the negatives belong to.

        Returns
        -------
        ndarray of int32, shape [R, k]
            Rows as in ``split.part(part)``, distinct items in each; 0 where a user has too few candidates, or an item
            was drawn again.

        Raises
        ------
        ValueError
            If there is no such protocol or part.
        """
        if (protocol, part) not in self._used:
            info = self.manifest.negatives
            self._used[protocol, part] = used_negatives(
                self._negatives, self.items, self.offsets, self.split, self.n_items, protocol, part, info.k, info.seed
            )
        return self._used[protocol, part]
