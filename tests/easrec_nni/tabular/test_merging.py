from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from easrec_nni.cli.main import app
from easrec_nni.common.errors import UserError
from easrec_nni.data import Dataset
from easrec_nni.settings.trial import TrialSettings
from easrec_nni.tabular.building import Build
from easrec_nni.tabular.documents import TableDocument, read_table, write_table
from easrec_nni.tabular.merging import merge_tables
from tests.easrec_nni.tabular.conftest import MakeTable
from tests.easrec_nni.tabular.test_building import SPACE, figures


def with_seeds(table: TableDocument, seeds: set[int]) -> TableDocument:
    return table.model_copy(update={"runs": [run for run in table.runs if run.seed in seeds]})


def collected(words: list[str]) -> str:
    done = CliRunner().invoke(app, ["table", "collect", *words])
    assert done.exit_code == 0, done.output
    return done.stdout


def test_builds_of_different_seeds_are_one_table(tiny_dataset: Dataset, tmp_path: Path) -> None:
    settings = TrialSettings(data=str(tiny_dataset.path), space={**SPACE, "layers": 1}, retrain={"epochs": 1})

    def train(name: str, seeds: int, first_seed: int) -> None:
        build = Build.open(settings.data, settings, seeds, tmp_path / name, first_seed=first_seed)
        assert build.train(tmp_path / f"{name}.json") == []

    train("whole", 3, 0)
    train("here", 2, 0)
    train("there", 1, 2)
    assert [run.seed for run in read_table(tmp_path / "there.json").runs] == [2, 2]
    # A table and a folder, into the table's own file.
    table = str(tmp_path / "here.json")
    assert "6 runs of 2 architectures" in collected([table, str(tmp_path / "there"), "--out", table])
    merged, whole = read_table(tmp_path / "here.json"), read_table(tmp_path / "whole.json")
    assert figures(merged) == figures(whole)
    assert merged.noise == whole.noise and merged.complete_seeds == [0, 1, 2]
    assert merged.architectures == whole.architectures


def test_runs_of_a_known_table_are_not_trained_again(tiny_dataset: Dataset, tmp_path: Path) -> None:
    document = {"space": {**SPACE, "layers": 1}, "retrain": {"epochs": 1, "weights": "scratch"}}
    settings = TrialSettings(data=str(tiny_dataset.path), **document)
    (tmp_path / "settings.yml").write_text(json.dumps({"data": "x", **document}))
    Build.open(settings.data, settings, 1, tmp_path / "earlier").train(tmp_path / "earlier.json")
    earlier = read_table(tmp_path / "earlier.json")
    part = earlier.model_copy(update={"runs": earlier.runs[:1]})
    write_table(part, tmp_path / "part.json")
    words = ["table", "build", settings.data, "--settings", str(tmp_path / "settings.yml"), "--threads", "1"]

    def build(folder: str, known: str, *more: str) -> Result:
        return CliRunner().invoke(
            app, [*words, "--known", str(tmp_path / known), "--out", str(tmp_path / folder), *more]
        )

    done = build("rest", "part.json", "--seeds", "2")
    assert done.exit_code == 0 and "3 of 3 runs are complete" in done.stdout, done.output
    rest = read_table(tmp_path / "rest" / "table.json.gz")
    assert {(rest.architectures[run.architecture].choices, run.seed) for run in rest.runs} == {
        *((row.choices, 1) for row in earlier.architectures),
        (earlier.architectures[1].choices, 0),
    }
    assert merge_tables({"part": part, "rest": rest}).complete_seeds == [0, 1]
    assert "nothing to train" in build("none", "earlier.json", "--seeds", "1").stdout
    other = build("other", "part.json", "--set", "retrain.epochs=2")
    assert (
        other.exit_code == 2
        and "is not a table of this build: they differ in the settings retrain.epochs" in other.stderr
    )
    assert not (tmp_path / "other").exists()


def test_a_seed_that_is_not_complete_waits_for_its_other_runs(make_table: MakeTable, tmp_path: Path) -> None:
    table = make_table(seeds=3).model_copy(update={"settings": {"data": "ml-100k"}})
    later = with_seeds(table, {2})
    part = later.model_copy(update={"runs": later.runs[:5]})
    known = merge_tables({"two": with_seeds(table, {0, 1}), "five": part})
    assert (len(known.runs), known.complete_seeds) == (2 * 18 + 5, [0, 1])
    rest = later.model_copy(update={"runs": later.runs[5:]})
    assert figures(merge_tables({"known": known, "rest": rest})) == figures(table)
    assert merge_tables({"known": known, "rest": rest}).noise == table.noise


def test_costs_are_those_that_all_tables_have(make_table: MakeTable) -> None:
    table = make_table(seeds=1).model_copy(update={"settings": {"data": "ml-100k"}})
    rows = [row.model_copy(update={"cost": {"madds_per_user": 7.0}}) for row in table.architectures]
    merged = merge_tables({"one": table, "other": table.model_copy(update={"architectures": rows})})
    assert {tuple(row.cost.items()) for row in merged.architectures} == {(("madds_per_user", 7.0),)}
    assert len(merged.runs) == len(table.runs)


def test_a_cost_that_a_table_lacks_is_named(make_table: MakeTable, tmp_path: Path) -> None:
    table = make_table(seeds=1).model_copy(update={"settings": {"data": "ml-100k"}})
    rows = [row.model_copy(update={"cost": {"madds_per_user": 7.0}}) for row in table.architectures]
    write_table(table, tmp_path / "one.json")
    write_table(table.model_copy(update={"architectures": rows}), tmp_path / "other.json")
    sources = [str(tmp_path / name) for name in ("one.json", "other.json")]
    said = collected([*sources, "--out", str(tmp_path / "merged.json")])
    assert "left out, since not every table has them: parameters" in said


def test_tables_of_different_builds_are_refused(make_table: MakeTable) -> None:
    table = make_table(seeds=2).model_copy(update={"settings": {"data": "ml-100k"}})

    def refuse(message: str, **changes: object) -> None:
        with pytest.raises(UserError, match=message):
            merge_tables({"one.json": table, "other.json": table.model_copy(update=changes)})

    other = table.dataset.model_copy(update={"fingerprint": "1" * 64})
    refuse("one.json and other.json are not of one build: they differ in the data", dataset=other)
    longer = {"data": "ml-100k", "retrain": {"epochs": 7}}
    refuse(r"differ in the settings retrain\.epochs$", settings=longer)
    refuse("differ in the space", space=table.space.model_copy(update={"max_length": 7}))
    values = [value + 1e-6 for value in table.runs[3].values]
    runs = [*table.runs[:3], table.runs[3].model_copy(update={"values": values})]
    refuse(r"other.json has other figures of \w+, depth \d, seed 1 than a table before it", runs=runs)
    refuse("other.json has other figures than this version collects", figures=table.figures[::-1])


def test_a_file_is_asked_for_where_there_is_no_folder(make_table: MakeTable, tmp_path: Path) -> None:
    write_table(make_table(), tmp_path / "table.json")
    done = CliRunner().invoke(app, ["table", "collect", str(tmp_path / "table.json")])
    assert done.exit_code == 2 and "--out FILE" in done.stderr
