"""Files of ranks: written and read back, and damaged ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from easrec_nni.common.errors import UserError
from easrec_nni.common.run_files import RANKS_FILE
from easrec_nni.evaluation.rank_files import read_ranks, write_ranks


def test_arrays_are_read_by_name(tmp_path: Path) -> None:
    file = tmp_path / RANKS_FILE
    ranks = {"test_full": np.array([1, 7, 2]), "valid_full": np.array([3, 1]), "test_users": np.array([0, 0, 4])}
    write_ranks(ranks, file)
    read = read_ranks(file, ["test_full", "valid_full"], "run it again")
    assert {name: array.tolist() for name, array in read.items()} == {
        name: array.tolist() for name, array in ranks.items()
    }
    write_ranks({"test_full": np.array([1])}, file)
    assert list(read_ranks(file, ["test_full"], "")) == ["test_full"]


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"test_pop100": [1]}, "is damaged .*test_full"),
        ({"test_full": [0, 1]}, "ranks are whole numbers from 1"),
        ({"test_full": []}, "ranks are whole numbers from 1"),
        ({"test_full": [[1, 2]]}, "in one row"),
        ({"test_full": [1, 2], "test_users": [1, 2, 3]}, "one user for each target"),
    ],
)
def test_damaged_files_are_refused(tmp_path: Path, arrays: dict[str, list[int]], words: str) -> None:
    write_ranks({name: np.array(values) for name, values in arrays.items()}, tmp_path / RANKS_FILE)
    with pytest.raises(UserError, match=rf"{words}.*; run it again"):
        read_ranks(tmp_path / RANKS_FILE, ["test_full"], "run it again")


def test_a_file_that_is_not_an_archive_is_refused(tmp_path: Path) -> None:
    (tmp_path / RANKS_FILE).write_bytes(b"PK\x03\x04 and no more")
    with pytest.raises(UserError, match="is damaged"):
        read_ranks(tmp_path / RANKS_FILE, ["test_full"], "run it again")
