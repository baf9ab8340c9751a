"""Splits against RecTools' own splitters on MovieLens-100K.

Runs where EASREC_RECTOOLS names a Python with RecTools (``pip install rectools``), such as that of the peers'
measurements.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import numpy as np
import pytest

from easrec_nni.data import Dataset
from easrec_nni.data.splits import Interactions, Targets, make_split

PYTHON = os.environ.get("EASREC_RECTOOLS")


@pytest.mark.skipif(not PYTHON, reason="EASREC_RECTOOLS names no Python with RecTools")
def test_targets_and_training_are_those_of_rectools(ml100k: Dataset, tmp_path: Path) -> None:
    log = Interactions(np.asarray(ml100k.items), np.asarray(ml100k.offsets), np.asarray(ml100k.times))
    users = np.repeat(np.arange(ml100k.n_users), np.diff(log.offsets))
    np.savez(tmp_path / "log.npz", users=users, items=log.items, times=log.times)
    program = Path(__file__).with_name("rectools_splits.py")
    command = [str(PYTHON), str(program), str(tmp_path / "log.npz"), str(tmp_path / "answers.npz")]
    subprocess.run(command, check=True, capture_output=True, timeout=300)
    answers = np.load(tmp_path / "answers.npz")
    at_points, last = make_split("time:1998-03-01,1998-04-01", log), make_split("last:3", log)
    parts: dict[str, tuple[Targets, int]] = {
        "valid": (at_points.valid, int((at_points.train_end - log.offsets[:-1]).sum())),
        "test": (at_points.test, int((at_points.valid_end - log.offsets[:-1]).sum())),
        "last": (last.test, int((last.valid_end - log.offsets[:-1]).sum())),
    }
    for name, (targets, trained) in parts.items():
        theirs = set(zip(answers[f"{name}_users"].tolist(), answers[f"{name}_items"].tolist(), strict=True))
        assert set(zip(targets.users.tolist(), log.items[targets.places].tolist(), strict=True)) == theirs
        assert len(theirs) == len(targets) > 1000 and trained == answers[f"{name}_train"]
