"""The dataset folder: its files, atomic writing and the fingerprint."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from easrec_nni.common.errors import UserError
from easrec_nni.data.ids import IdTable
from easrec_nni.data.manifest import MANIFEST_NAME, Manifest
from easrec_nni.data.split_record import EVALUATED_USERS
from easrec_nni.data.splits import LeaveOneOut, Split

if TYPE_CHECKING:
    from easrec_nni.data.encode import EncodedFeature, EncodedLog

ARRAYS = ("items", "offsets", "times")
_IDS = tuple(f"{name}.{part}" for name in ("user_ids", "item_ids") for part in ("offsets", "text"))
_ENTRIES = {MANIFEST_NAME, "features", "negatives", EVALUATED_USERS, "user_ids.npy", "item_ids.npy"}
_ENTRIES |= {f"{name}.npy" for name in (*ARRAYS, *_IDS)}


def is_dataset_folder(path: Path) -> bool:
    """Whether a folder holds a dataset and nothing else, so that it may be replaced."""
    return path.is_dir() and (path / MANIFEST_NAME).is_file() and {entry.name for entry in path.iterdir()} <= _ENTRIES


def check_target(path: Path) -> None:
    """Refuse to overwrite anything but a dataset or an empty folder.

    Raises
    ------
    UserError
        If `path` exists and is neither a dataset nor an empty folder.
    """
    if not path.exists() or is_dataset_folder(path) or (path.is_dir() and not any(path.iterdir())):
        return
    raise UserError(f"{path} exists and is not a dataset, so it is not overwritten: choose another folder with --out")


@contextmanager
def atomic_folder(target: Path) -> Iterator[Path]:
    """Write a folder atomically: an empty one beside `target` replaces it at the end.

    Parameters
    ----------
    target : Path
        Path of the finished folder; a dataset there is replaced.

    Yields
    ------
    Path
        Folder to write to. If writing fails, it is removed and `target` stays as it was.

    Raises
    ------
    UserError
        If the folder cannot be written.
    """
    part = target.with_name(f".{target.name}.{uuid.uuid4().hex}.part")
    new_parents = [parent for parent in part.parents if not parent.exists()]
    try:
        part.mkdir(parents=True)
        yield part
        check_target(target)
        old = target.with_name(f"{part.name}.old")
        if target.exists():
            os.rename(target, old)
        os.rename(part, target)
        shutil.rmtree(old, ignore_errors=True)
    except OSError as error:
        raise UserError(
            f"cannot write {target} ({error.strerror or error}): choose another folder with --out"
        ) from error
    finally:
        shutil.rmtree(part, ignore_errors=True)
        for folder in new_parents:  # from the innermost; a folder that has the dataset stays
            if not folder.exists() or any(folder.iterdir()):
                break
            folder.rmdir()


def write_folder(
    folder: Path,
    log: EncodedLog,
    features: Mapping[str, EncodedFeature],
    negatives: Mapping[str, NDArray[np.int32]],
    manifest: Manifest,
    evaluated_users: NDArray[np.int64] | None = None,
) -> None:
    """Write all files of a dataset, the manifest last.

    Parameters
    ----------
    folder : Path
        Empty folder to write to.
    log : EncodedLog
        The interactions.
    features : mapping of str to EncodedFeature
        Item features by name.
    negatives : mapping of str to ndarray of int32, shape [E, k]
        Negatives by the name of their file, such as ``pop100_valid``.
    manifest : Manifest
        Manifest of the dataset.
    evaluated_users : ndarray of int64 or None
        Sample of the users that are evaluated; None: all.
    """
    if evaluated_users is not None:
        np.save(folder / EVALUATED_USERS, evaluated_users, allow_pickle=False)
    for name in ARRAYS:
        np.save(folder / f"{name}.npy", getattr(log, name), allow_pickle=False)
    for name, ids in (("user_ids", log.user_ids), ("item_ids", log.item_ids)):
        np.save(folder / f"{name}.offsets.npy", ids.offsets, allow_pickle=False)
        np.save(folder / f"{name}.text.npy", ids.text, allow_pickle=False)
    (folder / "negatives").mkdir()
    for name, array in negatives.items():
        np.save(folder / "negatives" / f"{name}.npy", array, allow_pickle=False)
    (folder / "features").mkdir()
    for name, feature in features.items():
        np.save(folder / "features" / f"{name}.offsets.npy", feature.offsets, allow_pickle=False)
        np.save(folder / "features" / f"{name}.values.npy", feature.values, allow_pickle=False)
        text = json.dumps(feature.vocabulary, ensure_ascii=False)
        (folder / "features" / f"{name}.vocabulary.json").write_text(text, encoding="utf-8")
    (folder / MANIFEST_NAME).write_text(manifest.model_dump_json(indent=2) + "\n", encoding="utf-8")


def load_array(path: Path) -> NDArray[np.generic]:
    """Map an array into memory, read-only.

    Raises
    ------
    UserError
        If the file is missing or damaged.
    """
    try:
        loaded = np.load(path, mmap_mode="r", allow_pickle=False)
        if not isinstance(loaded, np.ndarray):  # an archive of arrays under an array's name
            raise ValueError("not an array")
    except (OSError, ValueError, EOFError, OverflowError) as error:  # a header can claim any size
        raise UserError(f"the dataset's file {path} is missing or damaged: prepare it again with --force") from error
    return loaded


def load_ids(folder: Path, name: str) -> IdTable | NDArray[np.str_]:
    """Map the ids of a dataset folder into memory; version 1 stored an array of strings.

    Raises
    ------
    UserError
        If a file is missing or damaged.
    """
    if (folder / f"{name}.npy").exists():
        return load_array(folder / f"{name}.npy")  # type: ignore[return-value]
    offsets, text = (load_array(folder / f"{name}.{part}.npy") for part in ("offsets", "text"))
    return IdTable(offsets, text)  # type: ignore[arg-type]


def fingerprint(
    items: NDArray[np.int32],
    offsets: NDArray[np.int64],
    negatives: Mapping[str, NDArray[np.int32]],
    split: Split | None = None,
    evaluated_users: NDArray[np.int64] | None = None,
) -> str:
    """SHA-256 over the data that an experiment's results depend on.

    Parameters
    ----------
    items, offsets : ndarray
        The interactions, as in `Dataset`.
    negatives : mapping of str to ndarray of int32, shape [E, k]
        Negatives by name; their order does not matter.
    split : Split or None
        Split, which is included unless it is leave-one-out: that follows from the offsets alone.
    evaluated_users : ndarray of int64 or None
        Sample of the users that are evaluated; None: all.

    Returns
    -------
    str
        Hexadecimal digits, the same on every machine.
    """
    digest = hashlib.sha256()
    arrays: list[tuple[str, NDArray[np.generic], str]] = [("items", items, "<i4"), ("offsets", offsets, "<i8")]
    arrays += [(name, negatives[name], "<i4") for name in sorted(negatives)]
    if split is not None and not isinstance(split, LeaveOneOut):
        arrays += [("train_end", split.train_end, "<i8"), ("valid_end", split.valid_end, "<i8")]
        arrays += [(f"{part}_targets", split.part(part).places, "<i8") for part in ("valid", "test")]
    if evaluated_users is not None:
        arrays.append(("evaluated_users", evaluated_users, "<i8"))
    for name, array, kind in arrays:
        digest.update(f"{name}{array.shape}".encode())
        digest.update(np.ascontiguousarray(array, dtype=kind).data)
    return digest.hexdigest()
