"""JSON: every kind of document that is read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from easrec_nni.architecture.document import Architecture
from easrec_nni.architecture.latency import LatencyFile
from easrec_nni.data import load_dataset
from easrec_nni.experiments.records import find_experiment
from easrec_nni.experiments.result_files import read_exported
from easrec_nni.report.comparison import read_run
from easrec_nni.retraining.metrics import read_metrics
from easrec_nni.study.cells import read_result
from easrec_nni.study.documents import RESULT_FILE, STUDY_FILE
from easrec_nni.study.folder import read_settings
from easrec_nni.tabular.build_folder import BUILD_FILE, BuildFolder
from easrec_nni.tabular.documents import read_table
from easrec_nni.training.run_folder import RunFolder
from tests.hostile_files.conftest import DEPTH, EXPERIMENT, refused


def read_dataset_manifest(text: str, folder: Path) -> Any:
    (folder / "manifest.json").write_text(text)
    return load_dataset(folder)


def read_experiments(text: str, folder: Path) -> Any:
    (folder / "nni-experiments").mkdir()
    (folder / "nni-experiments" / ".experiment").write_text(text)
    return find_experiment(EXPERIMENT)


def read_request(text: str, folder: Path) -> Any:
    (folder / "state").mkdir()
    (folder / "state" / "request.json").write_text(text)
    return RunFolder.open(folder, {"seed": 0})


def reading(name: str, reader: Callable[[Path], Any], of_folder: bool = False) -> Callable[[str, Path], Any]:
    """Reader of a text that is put into a file of that name."""

    def read(text: str, folder: Path) -> Any:
        (folder / name).write_text(text)
        return reader(folder if of_folder else folder / name)

    return read


JSON_READERS: dict[str, Callable[[str, Path], Any]] = {
    "architecture": reading("architecture.json", Architecture.read),
    "manifest": read_dataset_manifest,
    "metrics": reading("metrics.json", read_metrics, of_folder=True),
    "figures of a run": reading("metrics.json", lambda file: read_run("mine", file)),
    "study": reading(STUDY_FILE, read_settings, of_folder=True),
    "exported trials": reading("trials.json", read_exported),
    "NNI's experiments": read_experiments,
    "request of a run": read_request,
    "latency file": reading("latency.json", LatencyFile.read),
    "architecture table": reading("table.json", read_table),
    "build of a table": reading(BUILD_FILE, BuildFolder.read, of_folder=True),
}
JSON = {
    "lists in lists": "[" * DEPTH,
    "objects in objects": '{"a":' * DEPTH,
    "a number of 5,000 digits": '{"schema_version": ' + "9" * 5000 + "}",
    "a number of a gigabyte's name": '{"schema_version": 1e1000000000, "format_version": 1e1000000000}',
    "a number alone": "9" * 4000,
    "text alone": '"x"',
    "nothing": "",
    "null": "null",
    "Python": "__import__('os').system('touch CANARY')",
}


@pytest.mark.parametrize("reader", JSON_READERS)
@pytest.mark.parametrize("name", JSON)
def test_json(name: str, reader: str, tmp_path: Path, canary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    refused(lambda: JSON_READERS[reader](JSON[name].replace("CANARY", str(canary)), tmp_path))


@pytest.mark.parametrize("name", JSON)
def test_a_cell_whose_result_is_no_result_is_not_complete(name: str, tmp_path: Path) -> None:
    (tmp_path / RESULT_FILE).write_text(JSON[name])
    assert read_result(tmp_path) is None
