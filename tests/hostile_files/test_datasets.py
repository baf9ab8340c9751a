"""Prepared datasets: arrays, numbers that point outside of what they count, names."""

from __future__ import annotations

import json
import pickle
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from easrec_nni.data import Dataset, load_dataset, prepare
from easrec_nni.data.storage import load_array
from tests.hostile_files.conftest import DEPTH, Trap, refused


def npy(shape: str, kind: str = "'<i4'") -> bytes:
    """An array's file that claims a shape and holds nothing."""
    header = f"{{'descr': {kind}, 'fortran_order': False, 'shape': {shape}, }}"
    header += " " * (64 - (len(header) + 11) % 64) + "\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode("latin-1")


ARRAYS = {
    "10^9 numbers": npy(f"({10**9},)"),
    "10^18 numbers": npy(f"({10**18},)"),
    "10^30 numbers": npy(f"({10**30},)"),
    "fewer than none": npy("(-1,)"),
    "texts of 10^9 characters": npy("(1,)", "'<U1000000000'"),
    "objects": npy("(1,)", "'|O'"),
    "arrays in an array": npy("(1,)", "[('a', '<i4', (1000000, 1000000, 1000000))]"),
    "a shape that is a call": npy("__import__('os').system('touch canary')"),
    "nesting": npy("(" * 3000 + ")" * 3000),
    "a header of 2 GB": b"\x93NUMPY\x03\x00" + struct.pack("<I", 2**31 - 1),
}


@pytest.mark.parametrize("name", ARRAYS)
def test_arrays(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "items.npy").write_bytes(ARRAYS[name])
    assert "items.npy is missing or damaged" in refused(lambda: load_array(tmp_path / "items.npy"))


@pytest.mark.parametrize("as_array", [False, True])
def test_pickles_in_place_of_arrays(as_array: bool, tmp_path: Path, canary: Path) -> None:
    file = tmp_path / "items.npy"
    if as_array:
        np.save(file, np.array([Trap(canary)], dtype=object), allow_pickle=True)
    else:
        file.write_bytes(pickle.dumps(Trap(canary)))
    refused(lambda: load_array(file))


def test_an_archive_of_arrays_in_place_of_one(tmp_path: Path) -> None:
    np.savez(tmp_path / "items.npz", items=np.arange(3))
    (tmp_path / "items.npz").rename(tmp_path / "items.npy")
    refused(lambda: load_array(tmp_path / "items.npy"))


@pytest.fixture
def folder(tiny_dataset: Dataset, tmp_path: Path) -> Path:
    """A dataset of 30 items with a feature, which is in order."""
    folder = Path(shutil.copytree(tiny_dataset.path, tmp_path / "dataset"))
    change(folder, features=[{"name": "genre", "values": 2, "items_without": 0}])
    np.save(folder / "features" / "genre.offsets.npy", np.maximum(np.arange(32) - 1, 0))
    np.save(folder / "features" / "genre.values.npy", np.ones(30, dtype=np.int32))
    (folder / "features" / "genre.vocabulary.json").write_text('["", "a", "b"]')
    assert load_dataset(folder).item_features["genre"].vocabulary == ("", "a", "b")
    return folder


def change(folder: Path, **changes: Any) -> None:
    manifest = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps(manifest | changes))


INDICES: dict[str, tuple[str, Callable[[Any], Any], str]] = {
    "a negative item": ("negatives/uni100_test.npy", lambda array: array - 1, "uni100_test has numbers outside"),
    "an item too many": ("negatives/pop100_valid.npy", lambda array: array + 1, "pop100_valid has numbers outside"),
    "values from afar": ("features/genre.offsets.npy", lambda array: array * 10**12, "do not divide its values"),
    "values backwards": ("features/genre.offsets.npy", lambda array: array[::-1].copy(), "do not divide its values"),
    "an unknown value": ("features/genre.values.npy", lambda array: array + 2, "outside its vocabulary"),
    "a value of padding": ("features/genre.values.npy", lambda array: array - 1, "outside its vocabulary"),
    "values in rows": ("features/genre.values.npy", lambda array: array.reshape(15, 2), "values of feature genre"),
}


@pytest.mark.parametrize("name", INDICES)
def test_numbers_that_point_elsewhere(name: str, folder: Path) -> None:
    file, damage, words = INDICES[name]
    np.save(folder / file, damage(np.load(folder / file)))
    assert words in refused(lambda: load_dataset(folder))


@pytest.mark.parametrize("text", ["[" * DEPTH, '{"a": 1}', '["", 1, "b"]', "null"])
def test_vocabularies_that_are_none(text: str, folder: Path) -> None:
    (folder / "features" / "genre.vocabulary.json").write_text(text)
    refused(lambda: load_dataset(folder))


@pytest.mark.parametrize("name", ["../../x", "/etc/cron.d/x", "a/b", "\x1b[2J", "", "x" * 101, ".hidden"])
def test_a_manifests_name_becomes_a_folders_name(name: str, folder: Path) -> None:
    change(folder, name=name)
    refused(lambda: load_dataset(folder))


@pytest.mark.parametrize("name", ["../../x", "..", "/etc", "~root", "a\\b", "a\nb", "\ud800", "a\0b"])
def test_names_of_datasets(name: str, tiny_dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EASREC_HOME", str(tmp_path / "home"))
    refused(lambda: load_dataset(name))
    log = tmp_path / "log.csv"
    log.write_text("user,item,time\n")
    assert "cannot be the name of a dataset" in refused(lambda: prepare(log, name=name))
    assert sorted(file.name for file in tmp_path.iterdir()) == ["log.csv"]
