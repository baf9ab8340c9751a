"""Opening a prepared dataset."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from easrec_nni.common.errors import UserError
from easrec_nni.common.files import read_json
from easrec_nni.data.home import dataset_folder
from easrec_nni.data.integrity import dataset_problem
from easrec_nni.data.manifest import FORMAT_VERSION, MANIFEST_NAME, Manifest
from easrec_nni.data.negatives import PARTS, STORED_PROTOCOLS, used_negatives
from easrec_nni.data.split import LeaveOneOut, check_trainable, leave_one_out
from easrec_nni.data.storage import ARRAYS, fingerprint, load_array


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
        Its folder.
    manifest : Manifest
        How it came about.
    items : ndarray of int32, shape [interactions]
        Item numbers 1..n_items (0 is for padding), by user and, within a user, by time.
    offsets : ndarray of int64, shape [n_users + 1]
        User u's interactions are ``items[offsets[u]:offsets[u + 1]]``.
    times : ndarray of int64 or float64, shape [interactions]
        Times of the interactions, in the source's unit.
    user_ids : ndarray of str, shape [n_users]
        The source's id of each user number.
    item_ids : ndarray of str, shape [n_items + 1]
        The source's id of each item number; entry 0 is empty.
    item_features : dict of str to ItemFeature
        Features of the items by name.
    """

    name: str
    path: Path
    manifest: Manifest
    items: NDArray[np.int32]
    offsets: NDArray[np.int64]
    times: NDArray[np.generic]
    user_ids: NDArray[np.str_]
    item_ids: NDArray[np.str_]
    item_features: dict[str, ItemFeature]
    _negatives: dict[str, NDArray[np.int32]] = field(repr=False)
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
        """SHA-256 over items, offsets and stored negatives, from the manifest."""
        return self.manifest.fingerprint

    @cached_property
    def split(self) -> LeaveOneOut:
        """The leave-one-out split, computed once."""
        return leave_one_out(self.offsets)

    def check_trainable(self) -> None:
        """Refuse what ``prepare`` refuses today, in a folder that an earlier version made.

        Raises
        ------
        UserError
            There is too little to train, to choose or to evaluate by: see
            :func:`~easrec_nni.data.split.check_trainable`.
        """
        check_trainable(self.offsets, self.split, self.n_items, f"the dataset {self.name}: ")

    def negatives(self, protocol: str, part: str) -> NDArray[np.int32]:
        """Negatives of the evaluated users.

        Those of a part know the history and that part's target, and nothing later. Test negatives of ``pop100`` and
        ``uni100`` are mapped from disk; the others are made from the stored ones, or from the seed, on first use.

        Parameters
        ----------
        protocol : {"pop100", "uni100", "pop100_recbole"}
            Sampled by popularity in the training part, or uniformly, among what the user did not have; or by
            popularity in the whole log among all items but the target, with replacement, as RecBole does.
        part : {"valid", "test"}
            For which target.

        Returns
        -------
        ndarray of int32, shape [E, k]
            Rows as in ``split.eval_users``, distinct items in each; 0 where a user has too few candidates, or an item
            was drawn again.

        Raises
        ------
        ValueError
            If there is no such protocol or part.
        """
        if (protocol, part) not in self._used:
            how = self.manifest.negatives
            self._used[protocol, part] = used_negatives(
                self._negatives, self.items, self.offsets, self.split, self.n_items, protocol, part, how.k, how.seed
            )
        return self._used[protocol, part]


def load_dataset(name_or_path: str | Path, verify: bool = False) -> Dataset:
    """Open a prepared dataset.

    Parameters
    ----------
    name_or_path : str or Path
        Name of a dataset in ``<EASREC_HOME>/datasets``, or the path of a dataset folder (a Path, or a
        string with a separator in it such as ``./ml-1m``).
    verify : bool
        Compute the fingerprint anew and compare it, which reads all interactions and negatives.

    Returns
    -------
    Dataset
        With its arrays mapped from disk.

    Raises
    ------
    UserError
        If there is no such dataset, or it is damaged or of another format version.

    Examples
    --------
    >>> import tempfile
    >>> from easrec_nni.data import load_dataset, prepare
    >>> folder = Path(tempfile.mkdtemp())
    >>> rows = [f"u{n % 3},i{n % 5},{n}" for n in range(15)]
    >>> _ = (folder / "log.csv").write_text("user,item,time" + chr(10) + chr(10).join(rows))
    >>> _ = prepare(folder / "log.csv", folder / "prepared")
    >>> dataset = load_dataset(folder / "prepared")
    >>> dataset.n_users, dataset.n_items, len(dataset.items)
    (3, 5, 15)
    >>> dataset.item_ids[dataset.items[:5]].tolist()
    ['i0', 'i3', 'i1', 'i4', 'i2']
    """
    path = _find(name_or_path)
    manifest = read_manifest(path)
    arrays = {name: load_array(path / f"{name}.npy") for name in ARRAYS}
    negatives = {
        f"{protocol}_{part}": load_array(path / "negatives" / f"{protocol}_{part}.npy")
        for protocol in STORED_PROTOCOLS
        for part in PARTS
    }
    features = {each.name: _load_feature(path, each.name) for each in manifest.features}
    dataset = Dataset(manifest.name, path, manifest, **arrays, item_features=features, _negatives=negatives)  # type: ignore[arg-type]
    problem = dataset_problem(dataset)
    if problem is None and verify and fingerprint(dataset.items, dataset.offsets, negatives) != manifest.fingerprint:  # type: ignore[arg-type]
        problem = "its arrays do not have the fingerprint of the manifest"
    if problem is not None:
        raise UserError(f"the dataset in {path} is damaged ({problem}): prepare it again with --force")
    return dataset


def read_manifest(path: Path) -> Manifest:
    """Read the manifest of a dataset folder.

    Parameters
    ----------
    path : Path
        The folder.

    Returns
    -------
    Manifest
        What the folder says of itself.

    Raises
    ------
    UserError
        If it cannot be read or is of another format version.
    """
    try:
        raw = read_json(path / MANIFEST_NAME)
        version = raw.get("format_version") if isinstance(raw, dict) else None
        if version != FORMAT_VERSION:
            raise UserError(
                f"the dataset in {path} has format version {version}, this toolkit reads {FORMAT_VERSION}: "
                "prepare it again with --force"
            )
        return Manifest.model_validate(raw)
    except (OSError, ValueError) as error:
        raise UserError(f"the manifest in {path} is damaged: prepare the dataset again with --force") from error


def _find(name_or_path: str | Path) -> Path:
    if isinstance(name_or_path, str) and "/" not in name_or_path and "\\" not in name_or_path:
        path = dataset_folder(name_or_path)
        if not (path / MANIFEST_NAME).is_file():
            raise UserError(
                f"there is no dataset {name_or_path!r} in {path.parent}: run 'easrec prepare {name_or_path}'"
            )
        return path
    path = Path(name_or_path).expanduser()
    if not (path / MANIFEST_NAME).is_file():
        raise UserError(f"{path} is no prepared dataset: run 'easrec prepare SOURCE --out {path}'")
    return path


def _load_feature(path: Path, name: str) -> ItemFeature:
    file = path / "features" / f"{name}.vocabulary.json"
    try:
        vocabulary = read_json(file)
        if not isinstance(vocabulary, list) or not all(isinstance(text, str) for text in vocabulary):
            raise ValueError("not a list of texts")
    except (OSError, ValueError) as error:
        raise UserError(f"the dataset's file {file} is missing or damaged: prepare it again with --force") from error
    offsets = load_array(path / "features" / f"{name}.offsets.npy")
    values = load_array(path / "features" / f"{name}.values.npy")
    return ItemFeature(offsets, values, tuple(vocabulary))  # type: ignore[arg-type]
