"""Which kind of teacher a path names."""

from __future__ import annotations

from pathlib import Path

import pytest

from easrec_nni.common.errors import UserError
from easrec_nni.retraining.teacher.opening import open_teacher
from easrec_nni.retraining.teacher.run import RunTeacher


def test_a_folder_of_a_retraining(teacher_run: Path) -> None:
    teacher = open_teacher(teacher_run)
    assert isinstance(teacher, RunTeacher) and teacher.weights == teacher_run / "weights.safetensors"


def test_other_paths_are_refused(tmp_path: Path) -> None:
    for path, message in (
        (tmp_path / "none", "does not exist"),
        (tmp_path, "is a folder without an architecture.json"),
    ):
        with pytest.raises(UserError, match=message):
            open_teacher(path)
