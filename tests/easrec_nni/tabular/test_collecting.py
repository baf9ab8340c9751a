from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from easrec_nni.architecture.cost import architecture_cost
from easrec_nni.cli.main import app
from easrec_nni.common.errors import UserError
from easrec_nni.data import Dataset
from easrec_nni.settings.trial import TrialSettings
from easrec_nni.tabular.assembling import FIGURES
from easrec_nni.tabular.building import Build, train_run
from easrec_nni.tabular.collecting import collect
from easrec_nni.tabular.documents import read_table
from easrec_nni.tabular.table import ArchitectureTable
from tests.easrec_nni.tabular.test_building import SPACE
from tests.latency_files import latency_file


@pytest.fixture
def build(tiny_dataset: Dataset, tmp_path: Path) -> Build:
    settings = TrialSettings(data=str(tiny_dataset.path), space={**SPACE, "layers": 1}, retrain={"epochs": 1})
    made = Build.open(settings.data, settings, 2, tmp_path / "runs")
    for run in made.runs[:3]:
        train_run(made.folder, run, made.dataset)
    return made


def test_an_incomplete_build_has_the_ceiling_of_its_complete_seeds(build: Build, tmp_path: Path) -> None:
    table = collect(build.folder, tmp_path / "table.json")
    assert read_table(tmp_path / "table.json") == table
    assert (len(table.runs), table.complete_seeds) == (3, [0])
    values = {run.architecture: run.values for run in table.runs if run.seed == 0}
    place = FIGURES.index("valid_mrr@10_full"), FIGURES.index("test_mrr@10_full")
    first, second = ([values[0][index], values[1][index]] for index in place)
    same_order = (first[0] - first[1]) * (second[0] - second[1])
    found = table.noise["mrr@10_full"]
    assert found.valid_halves is None
    assert found.valid_test.kendall == (None if same_order == 0 else pytest.approx(1 if same_order > 0 else -1))


def test_costs_are_counted_again_where_the_dataset_is(build: Build, tmp_path: Path) -> None:
    file = build.folder.folder(build.runs[0]) / "metrics.json"
    document = json.loads(file.read_text())
    document["cost"] = {"madds_per_user": 1.0}
    file.write_text(json.dumps(document))
    (build.folder.folder(build.runs[2]) / "metrics.json").unlink()  # the same architecture with seed 1
    choice = build.runs[0].choice

    def costs() -> dict[str, float]:
        rows = read_table(tmp_path / "table.json.gz").architectures
        return next(row.cost for row in rows if row.choices == choice)

    words = ["table", "collect", str(build.folder.path), "--out", str(tmp_path / "table.json.gz")]
    assert CliRunner().invoke(app, words).exit_code == 0
    assert costs().items() >= architecture_cost(build.space, choice).as_dict().items()
    settings = json.loads((build.folder.path / "build.json").read_text())
    settings["settings"]["data"] = str(tmp_path / "elsewhere")
    (build.folder.path / "build.json").write_text(json.dumps(settings))
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0 and "the costs are those that the runs recorded" in done.stdout
    assert costs() == {"madds_per_user": 1.0}


def test_a_latency_file_adds_a_cost(build: Build, tmp_path: Path) -> None:
    device = latency_file(build.space)
    (tmp_path / "device.json").write_text(json.dumps(device.as_json()))
    words = ["table", "collect", str(build.folder.path), "--out", str(tmp_path / "table.json")]
    done = CliRunner().invoke(app, [*words, "--latency", str(tmp_path / "device.json")])
    assert done.exit_code == 0, done.output
    table = ArchitectureTable.read(tmp_path / "table.json")
    assert "latency" in table.cost_kinds and table.cost_kinds[0] == "executed"
    for entry in table.entries:
        assert table.cost(entry, "latency") == device.predict(entry.choice, build.space)


def test_a_build_without_a_complete_run_has_no_table(build: Build, tmp_path: Path) -> None:
    for run in build.runs:
        (build.folder.folder(run) / "metrics.json").unlink(missing_ok=True)
    with pytest.raises(UserError, match="no complete run yet"):
        collect(build.folder, tmp_path / "table.json")
    assert not (tmp_path / "table.json").exists()
