"""Contract of every system: it runs as a small cell, writes a complete result, and is listed."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from easrec_nni.cli.main import app
from easrec_nni.data import Dataset, prepare
from easrec_nni.evaluation.final import PROTOCOLS
from easrec_nni.evaluation.metrics import METRICS, metrics_from_ranks
from easrec_nni.settings.trial import TrialSettings
from easrec_nni.study.cell import run_cell
from easrec_nni.study.cells import Cell, read_result
from easrec_nni.study.documents import CellResult
from easrec_nni.study.systems import GROUPS, SYSTEMS, System

EVERY = pytest.mark.parametrize("system", SYSTEMS.values(), ids=SYSTEMS)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """40 users over 30 items that have genres, which some systems need."""
    folder = tmp_path_factory.mktemp("shop")
    rows = [f"u{user}\ti{(7 * user + step * step) % 30}\t{step}" for user in range(40) for step in range(8)]
    (folder / "shop.inter").write_text("\n".join(["user_id:token\titem_id:token\ttimestamp:float", *rows]) + "\n")
    items = [f"i{item}\t{' '.join(f'g{(item + more) % 4}' for more in range(1 + item % 3))}" for item in range(30)]
    (folder / "shop.item").write_text("\n".join(["item_id:token\tgenre:token_seq", *items]) + "\n")
    return prepare(folder, folder / "prepared", name="shop")


def settings_for(dataset: Dataset) -> TrialSettings:
    space = {"max_length": 6, "hidden": 8, "inner": 16, "heads": 2, "layers": 2, "supernet": "shared"}
    search = {"epochs": 2, "batch_size": 16, "candidate_epochs": 1, "lambda": 0.1}
    return TrialSettings(data=str(dataset.path), space=space, search=search, retrain={"epochs": 1, "batch_size": 16})


@pytest.mark.slow
@EVERY
def test_the_smallest_cell_is_a_complete_result(system: System, shop: Dataset, tmp_path: Path) -> None:
    base = settings_for(shop)
    cell = Cell(system.name, 3)
    written = run_cell(cell, base, tmp_path)
    assert read_result(tmp_path) == written
    result = json.loads((tmp_path / "result.json").read_text())
    assert CellResult.model_validate(result) == written  # what the report reads
    assert (result["system"], result["seed"]) == (system.name, 3)
    with np.load(tmp_path / "ranks.npz") as ranks:
        for protocol in PROTOCOLS:
            figures = {f"{metric}@10_{protocol}": result["test"][f"{metric}@10_{protocol}"] for metric in METRICS}
            assert metrics_from_ranks(ranks[f"test_{protocol}"], 10, protocol) == figures
            assert len(ranks[f"test_{protocol}"]) == len(shop.split.test.users)
    if system.baseline is not None:
        assert (result["cost"], result["choices"]) == ({}, None)
        return
    assert result["cost"]["madds_per_user"] > 0 and result["bytes_on_disk"] > 0
    assert (result["choices"] is None) == system.fixed
    if not system.fixed:  # a choice of the space that the system searches
        space = system.settings(base).space_for(shop)
        assert space.choice(result["choices"]) in space.architectures()
    assert result["budget"]["search_epochs"] + result["budget"]["retrain_epochs"] == 3, "the same epochs for all"
    assert all(math.isfinite(value) for value in result["training"].values() if isinstance(value, float))


@EVERY
def test_it_is_listed_with_what_it_is(system: System) -> None:
    listed = CliRunner().invoke(app, ["systems"], env={"COLUMNS": "300"})
    assert listed.exit_code == 0
    (line,) = [line for line in listed.stdout.splitlines() if system.name in line.split()]
    assert system.title in line and system.source in line
    assert system.group in GROUPS and SYSTEMS[system.name] is system
