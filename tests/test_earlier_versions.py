"""Files that the version before the folders wrote (commit 26d4db1): runs, a study and a dataset, opened as today's are.

``files/before-the-folders.zip`` has a tiny log's dataset, `easrec search` on it with its retraining, and a study of two
cells.
"""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch
from typer.testing import CliRunner

from easrec_nni import Architecture, TrialSettings, evaluate, load_dataset, retrain, search
from easrec_nni.architecture.weights import load_network, read_weights
from easrec_nni.cli.main import app
from easrec_nni.common.documents import Document, read_document
from easrec_nni.common.errors import UserError
from easrec_nni.report.writing import write_report
from easrec_nni.retraining.metrics import RunMetrics
from easrec_nni.study.cell import run_cell
from easrec_nni.study.cells import Cell
from easrec_nni.study.documents import CellResult, StudyDocument
from easrec_nni.study.folder import open_study, read_settings
from easrec_nni.study.tables import Grid
from easrec_nni.training.history import read_history
from easrec_nni.training.recorded import with_recorded
from easrec_nni.training.threads import use_threads


@pytest.fixture
def earlier(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Folder of the unpacked files."""
    with zipfile.ZipFile(Path(__file__).parent / "files" / "before-the-folders.zip") as files:
        files.extractall(tmp_path)
    monkeypatch.setenv("EASREC_HOME", str(tmp_path / "home"))
    use_threads(1)
    return tmp_path


def settings_of(run: Path) -> TrialSettings:
    """Settings as the run's folder notes them."""
    requests: dict[str, Any] = {
        stage: json.loads((folder / "state" / "request.json").read_text())["request"]
        for stage, folder in (("search", run), ("retrain", run / "retrained"))
    }
    shared = {key: requests["search"][key] for key in ("mode", "history", "seed", "search")}
    space = {key: value for key, value in requests["search"]["space"].items() if key != "n_items"}
    shared["search"] = {"lambda" if k == "lambda_" else k: v for k, v in shared["search"].items()}
    return TrialSettings.reopen(
        {"data": "old", "space": space, "retrain": requests["retrain"]["retrain"], **shared}, "run"
    )


def test_a_dataset_has_its_fingerprint_and_every_ranking(earlier: Path) -> None:
    dataset = load_dataset("old", verify=True)
    known = json.loads((earlier / "run" / "retrained" / "metrics.json").read_text())
    assert dataset.fingerprint == known["dataset"]["fingerprint"]
    assert dataset.negatives("pop100_recbole", "test").shape == (len(dataset.split.test.users), 100)


def test_a_network_has_the_test_figures_that_it_had(earlier: Path) -> None:
    run = earlier / "run" / "retrained"
    network = load_network(Architecture.read(run / "architecture.json"), run / "weights.safetensors")
    known = json.loads((run / "metrics.json").read_text())
    figures = evaluate(network, load_dataset("old"), "test")
    assert figures == {name: pytest.approx(known["test"][name]) for name in figures} and len(figures) >= 6


def test_commands_take_its_files(earlier: Path) -> None:
    run = earlier / "run"
    for words, text in (
        (["show", str(run / "architecture.json")], "undecided"),
        (["evaluate", str(run / "retrained")], "ndcg@10"),
        (["recommend", str(run / "retrained"), "--history", "i1,i2"], "i"),
    ):
        done = CliRunner().invoke(app, words)
        assert done.exit_code == 0 and text in done.output, done.output


def test_complete_runs_are_taken_as_they_are(earlier: Path) -> None:
    run, settings = earlier / "run", settings_of(earlier / "run")
    before = {file: file.read_bytes() for file in run.rglob("*") if file.is_file()}
    found = search("old", settings, run)
    assert found.architecture == Architecture.read(run / "architecture.json")
    trained = retrain(found.architecture, "old", run / "retrained", weights=found.supernet, settings=settings)
    assert trained.metrics == json.loads(before[run / "retrained" / "metrics.json"])
    assert {file: file.read_bytes() for file in before} == before


def test_an_unfinished_retraining_ends_as_it_would_have(earlier: Path) -> None:
    run, settings = earlier / "run", settings_of(earlier / "run")
    known = json.loads((run / "retrained" / "metrics.json").read_text())
    weights = read_weights(run / "retrained" / "weights.safetensors")
    for name in ("metrics.json", "weights.safetensors"):
        (run / "retrained" / name).unlink()
    trained = retrain(
        Architecture.read(run / "architecture.json"),
        "old",
        run / "retrained",
        weights=run / "supernet.safetensors",
        settings=settings,
    )
    assert trained.metrics["test"]["ndcg@10_full"] == pytest.approx(known["test"]["ndcg@10_full"])
    for name, weight in weights.items():
        torch.testing.assert_close(trained.network.state_dict()[name], weight, rtol=0, atol=0)
    assert [row["epoch"] for row in read_history(run / "retrained" / "history.csv")] == [
        0,
        1,
        2,
    ]  # none before training


def test_an_unfinished_search_is_refused_with_what_to_do(earlier: Path) -> None:
    run = earlier / "run"
    (run / "architecture.json").unlink()
    with pytest.raises(UserError, match="unfinished search of an earlier version.*--restart"):
        search("old", settings_of(run), run)


def test_a_study_is_reported(earlier: Path) -> None:
    write_report([earlier / "study"], earlier / "report")
    text = (earlier / "report" / "report.md").read_text(encoding="utf-8")
    assert "EASRec" in text and "opularity" in text and "pop100_recbole" not in text.split("##")[1]


DOCUMENTS: dict[str, type[Document]] = {
    "run/retrained/metrics.json": RunMetrics,
    "study/study.json": StudyDocument,
    "study/cells/easrec/seed0/result.json": CellResult,
    "study/cells/popularity/seed0/result.json": CellResult,
}


def keys_of(document: Any, prefix: str = "") -> set[str]:
    """Dotted keys of a JSON document, but for those of settings, whose defaults change."""
    if not isinstance(document, dict) or prefix == "settings.":
        return {prefix.rstrip(".")}
    return set().union(*(keys_of(value, f"{prefix}{key}.") for key, value in document.items()), set())


@pytest.mark.parametrize("name", DOCUMENTS)
def test_a_document_is_written_back_as_it_was_read(name: str, earlier: Path) -> None:
    document = read_document(earlier / name, DOCUMENTS[name], "restore it")
    before = json.loads((earlier / name).read_text())
    assert json.dumps(document.as_json(), sort_keys=True) == json.dumps(before, sort_keys=True)  # 1 is not 1.0


@pytest.mark.parametrize("system", ["easrec", "popularity"])
def test_documents_of_today_have_the_keys_that_those_of_before_had(system: str, earlier: Path, tmp_path: Path) -> None:
    """A user's program reads them."""
    base = read_settings(earlier / "study")
    study = open_study(tmp_path / "new", load_dataset("old"), base, "smoke", "table5", Grid((system,), (0,)))
    run_cell(Cell(system, 0), base, study.cell_folder(Cell(system, 0)))
    files = ["study.json", f"cells/{system}/seed0/result.json"]
    for name in [*files, *([f"cells/{system}/seed0/retrained/metrics.json"] if system == "easrec" else [])]:
        before, today = (json.loads((folder / name).read_text()) for folder in (earlier / "study", tmp_path / "new"))
        missing = keys_of(before) - keys_of(today)
        assert not missing, f"{name} lacks {missing}"
        assert [key for key in today if key in before] == [key for key in before if key in today]


def test_settings_without_todays_keys_keep_their_meaning(earlier: Path) -> None:
    """Those of a study, which wrote all keys of its time, and an architecture's."""
    document = json.loads((earlier / "study" / "study.json").read_text())["settings"]
    assert "batch_by" not in document and "averaging" not in document["retrain"]
    for section in ("search", "retrain"):
        del document[section]["batch_size"]  # 32 by default
    opened = TrialSettings.reopen(document, "study.json")
    assert (opened.batch_by, opened.select_by) == ("sequences", "ndcg@10_full")
    assert (opened.search.batch_size, opened.retrain.batch_size, opened.retrain.averaging) == (32, 32, 0.0)
    architecture = json.loads((earlier / "run" / "architecture.json").read_text())
    retraining = {"epochs": 1, "patience": 2, "batch_size": 9, "learning_rate": 0.01, "weights": "scratch"}
    recorded = {"mode": "causal", "history": "all", "loss": "softmax", "seed": 3, "retrain": retraining}
    taken = with_recorded(
        Architecture.parse(json.dumps({**architecture, "training": recorded})), TrialSettings(data="x")
    )
    assert (taken.batch_by, taken.select_by, taken.retrain.averaging) == ("sequences", "ndcg@10_full", 0.0)
    given = TrialSettings(data="x", batch_by="targets", retrain={"averaging": 0.5})
    taken = with_recorded(Architecture.parse(json.dumps({**architecture, "training": recorded})), given)
    assert (taken.batch_by, taken.retrain.averaging, taken.retrain.batch_size) == ("targets", 0.5, 9)
