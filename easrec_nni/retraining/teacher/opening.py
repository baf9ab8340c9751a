"""Opening of the teacher that the settings name."""

from __future__ import annotations

from pathlib import Path

from easrec_nni.common.errors import UserError
from easrec_nni.common.run_files import ARCHITECTURE_FILE
from easrec_nni.retraining.teacher.onnx_file import OnnxTeacher
from easrec_nni.retraining.teacher.run import RunTeacher
from easrec_nni.retraining.teacher.source import TeacherSource
from easrec_nni.retraining.teacher.table import TableTeacher

__all__ = ["open_teacher"]


def open_teacher(path: str | Path) -> TeacherSource:
    """Open a teacher: the folder of a retrained network, an ONNX file, or a table of scores.

    Raises
    ------
    UserError
        The folder or file does not exist.
    """
    place = Path(path).expanduser()
    if (place / ARCHITECTURE_FILE).is_file():
        return RunTeacher(place)
    if place.is_file():
        return OnnxTeacher(place) if place.suffix == ".onnx" else TableTeacher(place)
    what = "is a folder without an architecture.json" if place.is_dir() else "does not exist"
    raise UserError(f"the teacher {place} {what}: give the folder of a retraining, an ONNX file or a table of scores")
