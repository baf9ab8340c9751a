"""Refits in a study: of its cells, added to a complete study, and never twice."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from easrec_nni.architecture.document import Architecture
from easrec_nni.architecture.weights import load_network
from easrec_nni.common.errors import UserError
from easrec_nni.data import Dataset, prepare
from easrec_nni.evaluation.scoring import evaluate
from easrec_nni.settings.trial import TrialSettings
from easrec_nni.study.cell import run_cell
from easrec_nni.study.cells import Cell, complete_result, lacks_refit
from easrec_nni.study.folder import Study, open_study, read_settings
from easrec_nni.study.tables import Grid

SPACE = {"max_length": 6, "hidden": 8, "inner": 16, "heads": 2, "layers": 1, "supernet": "shared"}
SASREC, FLOOR = Cell("sasrec-linrec", 0), Cell("popularity", 0)
GRID = Grid((SASREC.system, FLOOR.system), (0,))


@pytest.fixture(scope="module")
def cycles(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Users who all follow the same cycle of 15 items, so that every epoch improves."""
    folder = tmp_path_factory.mktemp("cycles")
    rows = [f"{user},{(user + time) % 15},{time}" for user in range(30) for time in range(10)]
    (folder / "log.csv").write_text("user,item,time\n" + "\n".join(rows) + "\n")
    return prepare(folder / "log.csv", out=folder / "prepared")


def settings_for(dataset: Dataset, **retrain: Any) -> TrialSettings:
    options = {"epochs": 2, "learning_rate": 0.02, "batch_size": 8, "averaging": 0, **retrain}
    return TrialSettings(data=str(dataset.path), space=SPACE, search={"epochs": 1}, retrain=options)


def opened(folder: Path, dataset: Dataset, settings: TrialSettings) -> Study:
    return open_study(folder, dataset, settings, "settings", "table3", GRID)


def test_a_refit_is_added_to_a_complete_study(cycles: Dataset, tmp_path: Path) -> None:
    plain, refitted = settings_for(cycles), settings_for(cycles, refit=True)
    study = opened(tmp_path, cycles, plain)
    first = {cell.system: run_cell(cell, plain, study.cell_folder(cell)) for cell in (SASREC, FLOOR)}
    assert study.missing(GRID.cells()) == [] and not first[SASREC.system].test_refitted
    weights = study.cell_folder(SASREC) / "retrained" / "weights.safetensors"
    stamp = weights.stat().st_mtime_ns

    study = opened(tmp_path, cycles, refitted)
    assert study.missing(GRID.cells()) == [SASREC], "nothing trains popularity, so that it cannot be refitted"
    again = run_cell(SASREC, read_settings(tmp_path), study.cell_folder(SASREC))
    assert study.missing(GRID.cells()) == [] and weights.stat().st_mtime_ns == stamp
    assert (again.test, again.valid, again.cost) == (
        first[SASREC.system].test,
        first[SASREC.system].valid,
        first[SASREC.system].cost,
    )
    assert again.training["refit_epochs"] == again.training["best_epoch"] + 1 > 0
    folder = study.cell_folder(SASREC) / "retrained" / "refitted"
    network = load_network(Architecture.read(folder / "architecture.json"), folder / "weights.safetensors")
    for name, value in evaluate(network.eval(), cycles, protocols=["full", "unseen"]).items():
        assert again.test_refitted[f"{name}_refitted"] == pytest.approx(value, abs=1e-9)
    assert run_cell(FLOOR, refitted, study.cell_folder(FLOOR)).test == first[FLOOR.system].test

    # A later command without the refit leaves it there, and other settings are still refused.
    assert opened(tmp_path, cycles, plain).settings == refitted
    assert run_cell(SASREC, plain, study.cell_folder(SASREC)) == again
    with pytest.raises(UserError, match="holds a study with other settings"):
        opened(tmp_path, cycles, settings_for(cycles, refit=True, epochs=3))


def test_a_training_without_a_best_epoch_is_not_waited_for(cycles: Dataset, tmp_path: Path) -> None:
    settings = settings_for(cycles, refit=True, learning_rate=1e-12)
    result = run_cell(SASREC, settings, tmp_path)
    assert result.training["best_epoch"] == -1 and not result.test_refitted
    assert not lacks_refit(result, settings) and complete_result(tmp_path, settings) == result
