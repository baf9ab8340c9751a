"""Opening datasets, and refusing damaged ones."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from easrec_nni.common.errors import UserError
from easrec_nni.data import Dataset, PrepareSettings, load_dataset, prepare


@pytest.fixture
def copy(tiny_dataset: Dataset, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_dataset.path, tmp_path / "copy"))


def test_tiny_dataset(tiny_dataset: Dataset) -> None:
    lengths = np.diff(tiny_dataset.offsets)
    assert tiny_dataset.n_users == 40 and tiny_dataset.n_items == 30
    assert lengths.min() == 3 and lengths.max() == 20 and len(set(lengths.tolist())) == 18
    negatives = tiny_dataset.negatives("uni100", "test")
    assert negatives.shape == (40, 100)
    for row, user in enumerate(tiny_dataset.split.test.users):
        history = set(tiny_dataset.items[tiny_dataset.offsets[user] : tiny_dataset.offsets[user + 1]].tolist())
        assert sorted(negatives[row][negatives[row] > 0].tolist()) == sorted(set(range(1, 31)) - history)
    with pytest.raises(ValueError, match="protocol must be one of"):
        tiny_dataset.negatives("pop", "test")


def test_item_features_of_padding_are_empty(ml100k: Dataset) -> None:
    for feature in ml100k.item_features.values():
        assert feature.offsets[0] == feature.offsets[1] == 0
        assert feature.offsets.shape == (ml100k.n_items + 2,) and feature.offsets[-1] == len(feature.values)
        assert feature.values.min() == 1 and feature.values.max() == len(feature.vocabulary) - 1
        assert feature.values.dtype == np.int32 and feature.vocabulary[0] == ""


def test_missing_dataset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EASREC_HOME", str(tmp_path))
    with pytest.raises(UserError, match="there is no dataset 'ml-100k' in .*: run 'easrec prepare ml-100k'"):
        load_dataset("ml-100k")
    with pytest.raises(UserError, match="is not a prepared dataset: run 'easrec prepare"):
        load_dataset(tmp_path / "nothing")


@pytest.mark.parametrize("name", ["..", ".", "", ".hidden", "a\0b", "x" * 200, "~"])
def test_names_cannot_leave_the_folder(name: str) -> None:
    with pytest.raises(UserError, match="cannot be the name of a dataset"):
        load_dataset(name)


def change_manifest(folder: Path, **changes: Any) -> None:
    file = folder / "manifest.json"
    manifest = json.loads(file.read_text())
    manifest.update(changes)
    file.write_text(json.dumps(manifest))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format_version": 3}, "has format version 3, this toolkit reads 1 and 2"),
        ({"surprise": 1}, "manifest in .* is damaged"),
        ({"counts": 3}, "manifest in .* is damaged"),
        ({"features": [{"name": "../../secret", "values": 1, "items_without": 0}]}, "manifest in .* is damaged"),
        ({"features": [{"name": "genre", "values": 1, "items_without": 0}]}, "genre.vocabulary.json is missing"),
    ],
)
def test_changed_manifest(copy: Path, changes: dict[str, Any], message: str) -> None:
    change_manifest(copy, **changes)
    with pytest.raises(UserError, match=message):
        load_dataset(copy)


@pytest.mark.parametrize("text", ["", "[]", "{", "\x00", '{"format_version": 1}'])
def test_damaged_manifest(copy: Path, text: str) -> None:
    (copy / "manifest.json").write_text(text)
    with pytest.raises(UserError, match="prepare (it|the dataset) again with --force"):
        load_dataset(copy)


DAMAGES: dict[str, tuple[str, Any]] = {
    "short items": ("items.npy", lambda array: array[:-1]),
    "long items": ("items.npy", lambda array: array.astype(np.int64)),
    "padding in items": ("items.npy", lambda array: np.where(np.arange(len(array)) == 5, 0, array).astype(np.int32)),
    "unknown item": ("items.npy", lambda array: np.where(np.arange(len(array)) == 5, 31, array).astype(np.int32)),
    "descending offsets": ("offsets.npy", lambda array: np.concatenate([array[:1], array[2:0:-1], array[3:]])),
    "late offsets": ("offsets.npy", lambda array: array + 1),
    "short times": ("times.npy", lambda array: array[:-1]),
    "few users": ("user_ids.offsets.npy", lambda array: array[:-1]),
    "few items": ("item_ids.offsets.npy", lambda array: array[:-1]),
    "ids out of order": ("item_ids.offsets.npy", lambda array: array[::-1]),
    "ids cut off": ("user_ids.text.npy", lambda array: array[:-1]),
    "ids of another type": ("user_ids.text.npy", lambda array: array.astype(np.int64)),
    "few negatives": ("negatives/uni100_test.npy", lambda array: array[:, :50]),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_arrays(copy: Path, damage: str) -> None:
    name, change = DAMAGES[damage]
    np.save(copy / name, change(np.load(copy / name)))
    with pytest.raises(UserError, match="is damaged .*prepare it again with --force"):
        load_dataset(copy)


@pytest.mark.parametrize("content", [None, b"", b"\x93NUMPY", b"not an array at all"])
def test_unreadable_arrays(copy: Path, content: bytes | None) -> None:
    (copy / "items.npy").unlink()
    if content is not None:
        (copy / "items.npy").write_bytes(content)
    with pytest.raises(UserError, match="items.npy is missing or damaged"):
        load_dataset(copy)


def test_nothing_is_unpickled(copy: Path) -> None:
    np.save(copy / "user_ids.npy", np.array([{}] * 40, dtype=object), allow_pickle=True)
    with pytest.raises(UserError, match="user_ids.npy is missing or damaged"):
        load_dataset(copy)


def test_verify_finds_changed_negatives(copy: Path) -> None:
    load_dataset(copy, verify=True)
    array = np.load(copy / "negatives" / "pop100_test.npy")
    array[0, :2] = array[0, 1::-1]
    np.save(copy / "negatives" / "pop100_test.npy", array)
    load_dataset(copy)
    with pytest.raises(UserError, match="do not have the fingerprint"):
        load_dataset(copy, verify=True)


def test_a_split_has_the_targets_that_the_manifest_counts(tiny_dataset: Dataset, tmp_path: Path) -> None:
    source, settings = tiny_dataset.path.parent / "tiny.csv", PrepareSettings(split="time:50%,75%")
    folder = prepare(source, tmp_path / "out", settings=settings).path
    times = np.load(folder / "times.npy")
    np.save(folder / "times.npy", np.where(np.arange(len(times)) == 0, times.max(), times))
    with pytest.raises(UserError, match="is damaged .* targets by the split time:50%,75% instead of"):
        _ = load_dataset(folder).split


@pytest.mark.parametrize("method", ["time:x,y", "time:3", "tme", "\x1b[31m"])
def test_a_manifest_with_another_split_is_one_line(copy: Path, method: str) -> None:
    manifest = json.loads((copy / "manifest.json").read_text())
    change_manifest(copy, split={**manifest["split"], "method": method})
    with pytest.raises(UserError, match="manifest in .* is damaged|--split"):
        _ = load_dataset(copy).split
