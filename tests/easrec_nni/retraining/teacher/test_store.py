"""Stored arrays: what is incomplete or damaged is no store, and a full disk is told before anything is written."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch

from easrec_nni.common.errors import UserError
from easrec_nni.retraining.teacher import store
from easrec_nni.retraining.teacher.store import (
    StoredStates,
    StoredTop,
    new_arrays,
    open_store,
    remove_store,
    states_arrays,
    top_arrays,
)
from easrec_nni.training.losses.soft_targets import StateTargets, TopTargets

PLACES = [3, 4, 9]


def write(folder: Path, top: bool = False) -> None:
    random = np.random.default_rng(0)
    with new_arrays(folder, top_arrays(3, 2) if top else states_arrays(3, 4, 6), "states") as arrays:
        arrays["places"][:] = PLACES
        if top:
            arrays["items"][:], arrays["probabilities"][:] = random.integers(0, 6, (3, 2)), random.random((3, 2)) / 2
        else:
            arrays["states"][:], arrays["vectors"][:] = random.random((3, 4)), random.random((6, 4))


def test_states_are_found_by_place(tmp_path: Path) -> None:
    write(tmp_path)
    stored = open_store(tmp_path, 2.0)
    assert isinstance(stored, StoredStates)
    covered, soft = stored.at(torch.tensor([9, 5, 3, 10, 0, 9]))
    assert covered.tolist() == [True, False, True, False, False, True]
    assert isinstance(soft, StateTargets)
    states, vectors = (np.load(tmp_path / f"teacher-{name}.npy") for name in ("states", "vectors"))
    np.testing.assert_array_equal(soft.states.numpy(), states[[2, 0, 2]].astype(np.float32))
    np.testing.assert_array_equal(soft.items.numpy(), vectors / 2)


def test_best_items_are_found_by_place(tmp_path: Path) -> None:
    write(tmp_path, top=True)
    stored = open_store(tmp_path, 1.0)
    assert isinstance(stored, StoredTop)
    covered, soft = stored.at(torch.tensor([4, 8]))
    assert covered.tolist() == [True, False] and isinstance(soft, TopTargets)
    assert soft.items.tolist() == np.load(tmp_path / "teacher-items.npy")[[1]].tolist()
    assert soft.probabilities.tolist() == np.load(tmp_path / "teacher-probabilities.npy")[[1]].tolist()


@pytest.mark.parametrize("top", [False, True])
def test_a_store_that_is_incomplete_or_damaged_is_none(top: bool, tmp_path: Path) -> None:
    (tmp_path / "whole").mkdir()
    write(tmp_path / "whole", top)
    names = sorted(file.name for file in (tmp_path / "whole").iterdir())
    assert len(names) == 3
    for name in names:
        for kind in ("missing", "truncated", "other", "shorter"):
            folder = tmp_path / f"{kind}-{name}"
            shutil.copytree(tmp_path / "whole", folder)
            file = folder / name
            if kind == "missing":
                file.unlink()
            elif kind == "truncated":
                file.write_bytes(file.read_bytes()[:-3])
            elif kind == "other":
                file.write_bytes(b"no array")
            elif name != "teacher-vectors.npy":  # its rows are items
                np.save(file, np.load(file)[:2])
            else:
                continue
            assert open_store(folder, 1.0) is None, folder.name
    remove_store(tmp_path / "whole")
    assert list((tmp_path / "whole").iterdir()) == []


def test_a_failure_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), new_arrays(tmp_path, states_arrays(3, 4, 6), "states"):
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []


def test_a_disk_without_room_is_told_with_both_sizes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Usage(NamedTuple):
        free: int

    monkeypatch.setattr(store.shutil, "disk_usage", lambda folder: Usage(70_000_000))
    with pytest.raises(UserError, match=r"states take 8 MB and .* has 70 MB free: make room"):
        with new_arrays(tmp_path, states_arrays(60_000, 64, 10), "states"):
            pass
    assert list(tmp_path.iterdir()) == []
