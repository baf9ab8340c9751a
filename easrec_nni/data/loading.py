"""Opening a prepared dataset."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from easrec_nni.common.errors import UserError
from easrec_nni.common.files import read_json
from easrec_nni.data.dataset import Dataset, ItemFeature
from easrec_nni.data.home import dataset_folder
from easrec_nni.data.integrity import dataset_problem
from easrec_nni.data.manifest import MANIFEST_NAME, READ_VERSIONS, Manifest
from easrec_nni.data.negatives import PARTS, STORED_PROTOCOLS
from easrec_nni.data.split_record import EVALUATED_USERS
from easrec_nni.data.storage import ARRAYS, fingerprint, load_array, load_ids

__all__ = ["load_dataset", "read_manifest"]


def load_dataset(name_or_path: str | Path, verify: bool = False) -> Dataset:
    """Open a prepared dataset.

    Parameters
    ----------
    name_or_path : str or Path
        Name of a dataset in ``<EASREC_HOME>/datasets``, or the path of a dataset folder (a Path, or a
        string with a separator in it such as ``./ml-1m``).
    verify : bool
        Recompute the fingerprint and compare it, which reads all interactions and negatives.

    Returns
    -------
    Dataset
        Dataset whose arrays are mapped from disk.

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
    path = _dataset_path(name_or_path)
    manifest = read_manifest(path)
    arrays = {name: load_array(path / f"{name}.npy") for name in ARRAYS}
    ids = {name: load_ids(path, name) for name in ("user_ids", "item_ids")}
    negatives = {
        f"{protocol}_{part}": load_array(path / "negatives" / f"{protocol}_{part}.npy")
        for protocol in STORED_PROTOCOLS
        for part in PARTS
    }
    features = {feature.name: _load_feature(path, feature.name) for feature in manifest.features}
    sample: Any = None if manifest.split.users_to_sample is None else load_array(path / EVALUATED_USERS)
    dataset = Dataset(
        manifest.name,
        path,
        manifest,
        **arrays,  # type: ignore[arg-type]
        **ids,  # type: ignore[arg-type]
        item_features=features,
        _negatives=negatives,  # type: ignore[arg-type]
        evaluated_users=sample,
    )
    problem = dataset_problem(dataset)
    if problem is None and verify:
        actual = fingerprint(dataset.items, dataset.offsets, negatives, dataset.split, sample)  # type: ignore[arg-type]
        if actual != manifest.fingerprint:
            problem = "its arrays do not have the fingerprint of the manifest"
    if problem is not None:
        raise UserError(f"the dataset in {path} is damaged ({problem}): prepare it again with --force")
    return dataset


def read_manifest(path: Path) -> Manifest:
    """Read the manifest of a dataset folder.

    Parameters
    ----------
    path : Path
        Folder of the dataset.

    Returns
    -------
    Manifest
        Manifest of the dataset.

    Raises
    ------
    UserError
        If it cannot be read or is of another format version.
    """
    try:
        raw = read_json(path / MANIFEST_NAME)
        version = raw.get("format_version") if isinstance(raw, dict) else None
        if version not in READ_VERSIONS:
            raise UserError(
                f"the dataset in {path} has format version {version}, this toolkit reads "
                f"{' and '.join(map(str, READ_VERSIONS))}: prepare it again with --force"
            )
        return Manifest.model_validate(raw)
    except (OSError, ValueError) as error:
        raise UserError(f"the manifest in {path} is damaged: prepare the dataset again with --force") from error


def _dataset_path(name_or_path: str | Path) -> Path:
    if isinstance(name_or_path, str) and "/" not in name_or_path and "\\" not in name_or_path:
        path = dataset_folder(name_or_path)
        if not (path / MANIFEST_NAME).is_file():
            raise UserError(
                f"there is no dataset {name_or_path!r} in {path.parent}: run 'easrec prepare {name_or_path}', "
                f"or for a log of your own 'easrec prepare FILE --name {name_or_path}'"
            )
        return path
    path = Path(name_or_path).expanduser()
    if not (path / MANIFEST_NAME).is_file():
        raise UserError(f"{path} is not a prepared dataset: run 'easrec prepare SOURCE --out {path}'")
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
