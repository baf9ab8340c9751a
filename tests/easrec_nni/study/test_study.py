from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from rich.console import Console

from easrec_nni.common.errors import UserError
from easrec_nni.data import Dataset
from easrec_nni.settings.trial import TrialSettings
from easrec_nni.study.budgets import BUDGETS, with_budget
from easrec_nni.study.cells import Cell
from easrec_nni.study.folder import open_study, read_settings
from easrec_nni.study.reproduce import Request, grid_of, reproduce, settings_for
from easrec_nni.study.running import experiment_document, run_grid
from easrec_nni.study.systems import SYSTEMS
from easrec_nni.study.tables import TABLES, Grid

SPACE = {"max_length": 6, "hidden": 8, "inner": 16, "heads": 2, "layers": 2}


@pytest.fixture
def settings(tiny_dataset: Dataset) -> TrialSettings:
    return TrialSettings(data=str(tiny_dataset.path), space=SPACE)


@pytest.mark.parametrize("name", TABLES)
def test_every_cell_of_a_table_is_another_run_that_can_be_made(name: str) -> None:
    cells = grid_of(name, [], 2).cells()
    assert len({cell.path for cell in cells}) == len(cells) >= 2 * len(TABLES[name].systems)
    base = TrialSettings(data="x", space=SPACE)
    for cell in cells:
        assert SYSTEMS[cell.system].settings(base, {"seed": cell.seed, **cell.parameters}).seed == cell.seed


def test_table_3_has_the_papers_systems_and_figure_4_a_curve() -> None:
    papers = {"sasrec", "sasrecf", "fdsa", "sasrec-linrec", "sasrecf-linrec", "fdsa-linrec", "easrec", "darts"}
    assert papers | {"proxylessnas", "recnas"} <= set(TABLES["table3"].systems)
    assert len(TABLES["fig4"].parameters["lambda"]) >= 6 and TABLES["fig4"].seeds >= 3


def test_a_grid_is_all_combinations_seeds_outermost() -> None:
    cells = Grid(("a", "b"), (0, 1), {"lambda": (0.1, 0.2)}).cells()
    assert len(cells) == len(set(cell.path for cell in cells)) == 8
    assert [cell.seed for cell in cells] == [0] * 4 + [1] * 4
    assert cells[1] == Cell("a", 0, {"lambda": 0.2})


def test_a_table_takes_the_systems_and_seeds_that_are_asked_for() -> None:
    assert len(grid_of("table5", [], None).cells()) == 15
    assert grid_of("table3", ["sasrec", "easrec"], 2).systems == ("sasrec", "easrec")
    with pytest.raises(UserError, match="there is no table 'table9'; choose from table3"):
        grid_of("table9", [], None)
    with pytest.raises(UserError, match="did you mean"):
        grid_of("table3", ["sasrce"], None)


@pytest.mark.parametrize("name", BUDGETS)
def test_a_budget_gives_all_the_same_epochs_and_keeps_the_last_temperature(name: str) -> None:
    base = TrialSettings(data="x", search={"epochs": 20, "warmup_epochs": 5, "temperature": {"decay": 0.001}})
    scaled, budget = with_budget(base, name), BUDGETS[name]
    assert scaled.search.temperature.decay * scaled.search.epochs == pytest.approx(0.001 * 20)
    assert scaled.search.warmup < scaled.search.epochs
    if budget is None:
        assert scaled == base
    else:
        assert (scaled.search.epochs, scaled.retrain.epochs) == (budget.search_epochs, budget.retrain_epochs)
        assert scaled.search.patience >= scaled.search.epochs, "a search ends when its temperature has fallen"
        assert scaled.search.warmup == min(round(budget.search_epochs / 4), budget.search_epochs - 1)


def test_an_unknown_budget_is_refused() -> None:
    base = TrialSettings(data="x")
    with pytest.raises(UserError, match="there is no budget 'tiny'"):
        with_budget(base, "tiny")


def test_a_study_grows_by_tables_and_never_changes_its_settings(
    settings: TrialSettings, tiny_dataset: Dataset, tmp_path: Path
) -> None:
    out = tmp_path / "study"
    open_study(out, tiny_dataset, settings, "smoke", "table5", Grid(("easrec",), (0, 1)))
    open_study(out, tiny_dataset, settings, "smoke", "fig4", Grid(("easrec", "darts"), (2,), {"lambda": (0.1,)}))
    document = json.loads((out / "study.json").read_text())
    assert document["tables"] == ["table5", "fig4"]
    assert document["systems"] == ["easrec", "darts"]
    assert document["seeds"] == [0, 1, 2]
    assert document["parameters"] == {"lambda": [0.1]}
    assert document["dataset"]["fingerprint"] == tiny_dataset.fingerprint
    assert read_settings(out) == settings
    with pytest.raises(UserError, match="holds a study with other settings"):
        open_study(out, tiny_dataset, settings.with_parameters({"lambda": 0.9}), "smoke", "fig4", Grid((), ()))


def test_a_study_whose_history_was_ignored_grows_on(
    settings: TrialSettings, tiny_dataset: Dataset, tmp_path: Path
) -> None:
    augmented = settings.with_parameters({"mode": "augmented", "history": "all"})
    open_study(tmp_path / "study", tiny_dataset, augmented, "smoke", "table5", Grid(("easrec",), (0,)))
    file = tmp_path / "study" / "study.json"
    document = json.loads(file.read_text())
    document["settings"]["history"] = "newest"  # as an earlier version took it
    file.write_text(json.dumps(document))
    assert read_settings(tmp_path / "study") == augmented
    open_study(tmp_path / "study", tiny_dataset, augmented, "smoke", "fig4", Grid(("easrec",), (1,)))


def test_a_folder_that_is_no_study_is_left_alone(
    settings: TrialSettings, tiny_dataset: Dataset, tmp_path: Path
) -> None:
    (tmp_path / "thesis.tex").write_text("")
    with pytest.raises(UserError, match="is neither empty nor a study folder"):
        open_study(tmp_path, tiny_dataset, settings, "smoke", "table5", Grid((), ()))
    assert [file.name for file in tmp_path.iterdir()] == ["thesis.tex"]
    with pytest.raises(UserError, match="is not a study folder"):
        read_settings(tmp_path)
    (tmp_path / "study.json").write_text("{")
    with pytest.raises(UserError, match="damaged"):
        read_settings(tmp_path)


def test_the_experiment_is_one_that_nni_takes(settings: TrialSettings, tiny_dataset: Dataset, tmp_path: Path) -> None:
    from nni.experiment.config import ExperimentConfig

    out = tmp_path / "a study"  # a space in the path must reach the trial
    grid = Grid(("easrec", "darts"), (0, 1, 2), {"lambda": (0.1, 0.2)})
    study = open_study(out, tiny_dataset, settings, "smoke", "fig4", grid)
    document = experiment_document(study, grid, jobs=2)
    config = tmp_path / "experiment.yml"
    config.write_text(yaml.safe_dump(document))
    loaded = ExperimentConfig.load(config)
    assert (loaded.max_trial_number, loaded.trial_concurrency) == (12, 2)
    assert document["searchSpace"]["system"] == {"_type": "choice", "_value": ["easrec", "darts"]}
    assert f"'{out}'" in document["trialCommand"]


def test_settings_of_a_dataset_without_an_example_are_asked_for(tiny_dataset: Dataset, ml100k: Dataset) -> None:
    assert settings_for(ml100k, None).data == "ml-100k"
    with pytest.raises(UserError, match="there are no example settings for 'tiny'.*--settings"):
        settings_for(tiny_dataset, None)


@pytest.mark.parametrize(
    ("changes", "message"),
    [({"space.heads": 3}, "heads=3"), ({"serch.epochs": 1}, "serch"), ({"search.lambda": -1}, "lambda")],
)
def test_a_mistake_ends_before_anything_is_written(
    changes: dict, message: str, settings: TrialSettings, tiny_dataset: Dataset, tmp_path: Path
) -> None:
    file = tmp_path / "settings.yml"
    file.write_text(yaml.safe_dump(settings.model_dump(mode="json", by_alias=True)))
    request = Request(["table5"], str(tiny_dataset.path), settings=file, changes=changes, out=tmp_path / "out")
    with pytest.raises(UserError, match=message):
        reproduce(request, Console())
    assert not (tmp_path / "out").exists()


def test_systems_that_need_item_features_are_left_out_where_there_are_none(
    settings: TrialSettings, tiny_dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run: list[str] = []
    monkeypatch.setattr(
        "easrec_nni.study.reproduce.run_grid", lambda study, grid, **rest: run.extend(grid.systems) or []
    )
    file = tmp_path / "settings.yml"
    file.write_text(yaml.safe_dump(settings.model_dump(mode="json", by_alias=True)))
    console = Console(file=io.StringIO())
    request = Request(["table3"], str(tiny_dataset.path), settings=file, out=tmp_path / "out", measure=False)
    assert reproduce(request, console)
    assert "sasrec" in run and "easrec" in run and not {"sasrecf", "fdsa", "fdsa-linrec"} & set(run)
    assert "no item features" in console.file.getvalue()
    asked = replace(request, systems=["fdsa"], out=tmp_path / "other")
    with pytest.raises(UserError, match="feature"):
        reproduce(asked, console)


def test_nothing_is_started_where_every_cell_is_complete(
    settings: TrialSettings, tiny_dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    grid = Grid(("popularity",), (0,))
    study = open_study(tmp_path / "study", tiny_dataset, settings, "smoke", "table3", grid)
    from easrec_nni.study.cell import run_cell

    assert study.missing(grid.cells()) == [Cell("popularity", 0)]
    run_cell(Cell("popularity", 0), settings, study.cell_folder(Cell("popularity", 0)))
    monkeypatch.setattr("easrec_nni.study.running.running_experiment", lambda *args, **kwargs: pytest.fail("started"))
    assert run_grid(study, grid, jobs=1, port=8080, console=Console(), say=print) == []
