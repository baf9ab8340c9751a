from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from easrec_nni.cli.main import app
from easrec_nni.tabular.documents import write_table
from easrec_nni.tabular.table import ArchitectureTable
from tests.easrec_nni.tabular.conftest import random_table


@pytest.fixture
def table(tmp_path: Path) -> Path:
    write_table(random_table(), tmp_path / "table.json.gz")
    return tmp_path / "table.json.gz"


def query(table: Path, *words: str) -> str:
    done = CliRunner().invoke(app, ["table", "query", str(table), *words], env={"COLUMNS": "200"})
    assert done.exit_code == 0, done.output
    return done.stdout


def test_one_architecture(table: Path) -> None:
    (record,) = json.loads(query(table, "--depth", "2", "--hidden-pruning", ".5", "--inner-pruning", "0", "--json"))
    entry = ArchitectureTable.read(table).query({"hidden_pruning": 0.5, "inner_pruning": 0.0, "depth": 2})
    assert record["runs"] == {str(seed): values for seed, values in entry.runs.items()}
    assert record["cost"] == entry.costs


def test_the_best_within_a_cost_come_first_and_the_front_has_stars(table: Path) -> None:
    read = ArchitectureTable.read(table)
    lines = query(table, "--max-cost", "40%").splitlines()
    assert lines[0] == "random: 18 of 18 architectures, 54 runs"
    tau = read.document.noise["ndcg@10_unseen"].valid_test.kendall
    assert "ndcg@10_unseen" in lines[1] and lines[2].endswith(f"valid with test {tau:.2f}")
    rows = [line.split() for line in lines[4:]]
    wanted = sorted(read.within("40%"), key=lambda entry: -entry.mean("valid_ndcg@10_unseen"))
    assert [row[0] for row in rows] == [entry.choice.label for entry in wanted]
    starred = [row[0] for row in rows if row[1] == "★"]
    assert starred == [entry.choice.label for entry in wanted if entry in read.front()]
    front = json.loads(query(table, "--front", "--json"))
    assert len(front) == len(read.front()) and all(
        one["cost"]["madds_per_user"] > other["cost"]["madds_per_user"]
        for one, other in zip(front, front[1:], strict=False)
    ), "the best first, and on a front the better ones cost more"


def test_conditions_that_nothing_meets_name_the_cheapest(table: Path) -> None:
    done = CliRunner().invoke(app, ["table", "query", str(table), "--max-cost", "1%"])
    assert done.exit_code == 2 and "the cheapest is hidden50_inner50, depth 1, nominal cost 75000" in done.stderr
