from __future__ import annotations

import fcntl
import json
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from easrec_nni.common.errors import UserError
from easrec_nni.data import Dataset
from easrec_nni.evaluation.metrics import metrics_from_ranks
from easrec_nni.settings.trial import TrialSettings
from easrec_nni.study.cell import run_cell
from easrec_nni.study.cells import Cell, read_result
from easrec_nni.trial import stages

SPACE = {"max_length": 6, "hidden": 8, "inner": 16, "heads": 2, "layers": 2, "supernet": "shared"}
PROTOCOLS = ("full", "unseen", "pop100", "pop100_recbole", "uni100")


@pytest.fixture
def base(tiny_dataset: Dataset) -> TrialSettings:
    return TrialSettings(
        data=str(tiny_dataset.path), space=SPACE, search={"epochs": 1, "lambda": 0.1}, retrain={"epochs": 2}
    )


def check_schema(result: dict, dataset: Dataset) -> None:
    assert result["schema_version"] == 1
    assert result["dataset"]["fingerprint"] == dataset.fingerprint
    for part in ("test", "valid"):
        wanted = {f"{name}@10_{protocol}" for name in ("recall", "mrr", "ndcg") for protocol in PROTOCOLS}
        assert wanted <= result[part].keys()
    assert result["valid_selection_users"]["ndcg@10_full_standard_error"] >= 0
    assert result["negatives_version"] == 2


@pytest.mark.parametrize(("system", "searches"), [("sasrec-linrec", False), ("easrec", True), ("easrec-scratch", True)])
def test_a_cell_tells_all_of_a_system(
    system: str, searches: bool, base: TrialSettings, tiny_dataset: Dataset, tmp_path: Path
) -> None:
    reported: list[tuple[str, float]] = []
    folder = tmp_path / "cell"
    done = run_cell(Cell(system, 3), base, folder, on_epoch=lambda phase, row: reported.append((phase, row["epoch"])))
    result = done.as_json()
    check_schema(result, tiny_dataset)
    epochs = 2 if searches else 3
    assert reported == [("search", 0)] * searches + [("retrain", epoch) for epoch in range(-1, epochs)]
    assert result["training"]["retrain_epochs_run"] == epochs
    assert (folder / "search" / "architecture.json").is_file() == searches
    assert (result["choices"] is not None) == searches
    assert result["budget"]["search_epochs"] == int(searches)
    assert result["budget"]["retrain_epochs"] + result["budget"]["search_epochs"] == 3
    assert result["training"]["search_epochs_run"] == int(searches)
    assert (result["training"]["search_seconds"] > 0) == searches
    assert result["cost"]["madds_per_user"] > 0
    assert result["bytes_on_disk"] == (folder / "retrained" / "weights.safetensors").stat().st_size
    metrics = json.loads((folder / "retrained" / "metrics.json").read_text())
    assert metrics["training"]["weights"] == ("inherited" if system == "easrec" else "scratch")
    with np.load(folder / "ranks.npz") as ranks:
        assert set(ranks) == {*(f"test_{protocol}" for protocol in PROTOCOLS), "valid_full"}
        for protocol in PROTOCOLS:
            again = metrics_from_ranks(ranks[f"test_{protocol}"], 10, protocol)
            assert again == {name: result["test"][name] for name in again}
            assert ranks[f"test_{protocol}"].dtype == np.int64
    assert read_result(folder) == done and json.loads((folder / "result.json").read_text()) == result


def test_a_complete_cell_is_taken_as_it_is_and_never_under_other_settings(
    base: TrialSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cell = Cell("sasrec-linrec", 0)
    first = run_cell(cell, base, tmp_path)

    def fail(*args: object, **kwargs: object) -> None:
        raise AssertionError("trained again")

    monkeypatch.setattr(stages, "retrain", fail)
    assert run_cell(cell, base, tmp_path) == first
    with pytest.raises(UserError, match="holds a result with other settings"):
        run_cell(cell, base.with_parameters({"retrain.epochs": 3}), tmp_path)


def test_a_cell_that_was_cut_short_after_its_training_ends_with_the_same_figures(
    base: TrialSettings, tmp_path: Path
) -> None:
    first = run_cell(Cell("easrec", 1), base, tmp_path)
    (tmp_path / "result.json").unlink()
    again = run_cell(Cell("easrec", 1), base, tmp_path)
    assert again.test == first.test and again.choices == first.choices
    assert again.training["search_seconds"] == pytest.approx(first.training["search_seconds"])


def test_a_training_that_had_stopped_early_does_not_go_on(base: TrialSettings, tmp_path: Path) -> None:
    settings = base.with_parameters({"retrain.epochs": 30, "retrain.patience": 1, "retrain.learning_rate": 0.3})
    first = run_cell(Cell("sasrec-linrec", 0), settings, tmp_path)
    assert first.training["retrain_epochs_run"] < 30
    for file in ("result.json", "retrained/metrics.json", "retrained/weights.safetensors"):  # killed just before
        (tmp_path / file).unlink()
    again = run_cell(Cell("sasrec-linrec", 0), settings, tmp_path)
    assert again.training["retrain_epochs_run"] == first.training["retrain_epochs_run"]
    assert again.test == first.test


def test_peak_memory_is_the_cells_own_and_not_that_of_what_started_it(base: TrialSettings, tmp_path: Path) -> None:
    cell = f"""
import os, sys
if len(sys.argv) == 1:
    much = b"x" * (2 << 30)  # more than a cell of this size needs; across exec, ru_maxrss keeps it
    os.execv(sys.executable, [sys.executable, sys.argv[0], "again"])
from pathlib import Path
from easrec_nni.study import cell as cell_module
from easrec_nni.study.cell import run_cell
from easrec_nni.study.cells import Cell
from easrec_nni.settings.trial import TrialSettings
settings = TrialSettings.model_validate_json({base.model_dump_json(by_alias=True)!r})
print(run_cell(Cell("sasrec-linrec", 0), settings, Path("cell")).training["peak_memory_bytes"])
"""
    (tmp_path / "program.py").write_text(cell)
    command = [sys.executable, str(tmp_path / "program.py")]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr
    assert 100 << 20 < int(done.stdout.split()[-1]) < 2 << 30


def test_a_floor_needs_no_training(base: TrialSettings, tiny_dataset: Dataset, tmp_path: Path) -> None:
    result = run_cell(Cell("popularity", 0), base, tmp_path).as_json()
    check_schema(result, tiny_dataset)
    assert (result["cost"], result["choices"], result["bytes_on_disk"]) == ({}, None, 0)
    assert (tmp_path / "ranks.npz").is_file()


def test_two_processes_do_not_work_on_one_cell(base: TrialSettings, tmp_path: Path) -> None:
    done = threading.Event()
    with (tmp_path / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        thread = threading.Thread(target=lambda: (run_cell(Cell("popularity", 0), base, tmp_path), done.set()))
        thread.start()
        assert not done.wait(0.5) and not (tmp_path / "result.json").exists()
    assert done.wait(30)
    thread.join()
    assert (tmp_path / "result.json").is_file()


@pytest.mark.parametrize("sampled", [{}, {"system": "easrec"}, {"system": "easrec", "seed": "x"}, {"seed": 1}])
def test_a_sample_without_system_or_seed_is_refused(sampled: dict) -> None:
    with pytest.raises(UserError, match="a cell has a system and a seed"):
        Cell.sampled(sampled)


def test_what_the_tuner_samples_becomes_a_cell() -> None:
    cell = Cell.sampled({"system": "easrec", "seed": 2, "lambda": 0.5, "space.dropout": 0.1})
    assert cell == Cell("easrec", 2, {"lambda": 0.5, "space.dropout": 0.1})
    assert cell.path.as_posix() == "easrec--lambda=0.5--space.dropout=0.1/seed2"


@pytest.mark.parametrize("text", ["", "{", "[]", '{"schema_version": 99}'])
def test_a_damaged_result_counts_as_none(text: str, tmp_path: Path) -> None:
    (tmp_path / "result.json").write_text(text)
    assert read_result(tmp_path) is None


def test_whole_numbers_are_one_cell_however_they_are_written() -> None:
    """NNI's manager is JavaScript and writes 1.0 as 1; the study must find that cell complete."""
    wanted = [Cell("easrec", 0, {"lambda": value, "space.dropout": 0.5}) for value in (0.0, 1.0)]
    sampled = [Cell.sampled({"system": "easrec", "seed": 0, "lambda": value, "space.dropout": 0.5}) for value in (0, 1)]
    assert wanted == sampled
    assert [cell.path.parts[0] for cell in wanted] == [f"easrec--lambda={n}--space.dropout=0.5" for n in (0, 1)]
