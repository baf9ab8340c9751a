from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from easrec_nni.common.errors import UserError
from easrec_nni.tabular.documents import TableDocument, write_table
from easrec_nni.tabular.table import ArchitectureTable

FIGURES = ["valid_ndcg@10_unseen", "test_recall@10_full"]


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("kind", ["nominal", "parameters"])
def test_the_front_is_what_no_other_dominates(seed: int, ties: bool, kind: str, make_table) -> None:
    table = ArchitectureTable(make_table(seed, ties=ties))
    name = {"nominal": "madds_per_user", "parameters": "parameters"}[kind]
    for figure in FIGURES:
        points = [(entry.costs[name], entry.mean(figure)) for entry in table.entries]
        undominated = {
            point for point in points if not any(o != point and o[0] <= point[0] and o[1] >= point[1] for o in points)
        }
        front = table.front(kind, figure)
        found = [(entry.costs[name], entry.mean(figure)) for entry in front]
        assert found == sorted(undominated)


def test_a_query_gives_the_files_values(make_table) -> None:
    document: TableDocument = make_table()
    table = ArchitectureTable(document)
    for index, row in enumerate(document.architectures):
        by_label = {"pruning": row.choices.label, "depth": row.choices.depth}
        for form in (row.choices, row.choices.model_dump(), by_label):
            entry = table.query(form)
            runs = [run for run in document.runs if run.architecture == index]
            assert {seed: list(values.values()) for seed, values in entry.runs.items()} == {
                r.seed: r.values for r in runs
            }
        values = [run.values[3] for run in runs]
        mean = sum(values) / 3
        assert entry.mean(document.figures[3]) == pytest.approx(mean)
        deviation = (sum((value - mean) ** 2 for value in values) / 2) ** 0.5
        assert entry.deviation(document.figures[3]) == pytest.approx(deviation)
    assert table.largest.choice == document.space.largest


def test_selections_and_limits(make_table) -> None:
    table = ArchitectureTable(make_table())
    assert [entry.choice.depth for entry in table.select(hidden_pruning=0.5, inner_pruning=0)] == [1, 2, 3]
    largest = table.cost(table.largest)
    for share in (25, 50, 100):
        wanted = [e for e in table.entries if e.costs["madds_per_user"] <= share / 100 * largest + 1e-6]
        assert table.within(f"{share}%") == wanted == table.within(share / 100 * largest + 1e-6)
    assert len(table.within("100%")) == len(table.entries)
    for text in ("cheap", "-1", "nan", "inf%", ""):
        with pytest.raises(UserError, match="is not a cost"):
            table.within(text)


def test_what_is_not_there_is_said(make_table) -> None:
    document: TableDocument = make_table()
    table = ArchitectureTable(document)
    with pytest.raises(UserError, match="no such architecture: depth=4 is not in this space"):
        table.select(depth=4)
    with pytest.raises(UserError, match="no such architecture"):
        table.query({"hidden_pruning": 7, "inner_pruning": 0, "depth": 1})
    with pytest.raises(UserError, match="did you mean 'test_ndcg@10_full'"):
        table.front(figure="test_ndcg@1_full")
    with pytest.raises(UserError, match="no cost 'latency'; choose from nominal, parameters"):
        table.front("latency")
    partial = document.model_copy(update={"runs": [run for run in document.runs if run.architecture != 2]})
    assert len(ArchitectureTable(partial).entries) == 17
    with pytest.raises(UserError, match="hidden0_inner0, depth 3 has no run in this table yet"):
        _ = ArchitectureTable(partial).largest
    with pytest.raises(UserError, match="the table has no runs"):
        ArchitectureTable(document.model_copy(update={"runs": []}))


def test_the_api_needs_no_torch(make_table, tmp_path: Path) -> None:
    write_table(make_table(), tmp_path / "table.json.gz")
    program = f"""
import sys
from easrec_nni.tabular.table import ArchitectureTable
table = ArchitectureTable.read({str(tmp_path / "table.json.gz")!r})
assert table.query({{"hidden_pruning": 0.5, "inner_pruning": 0, "depth": 1}}).mean("test_ndcg@10_full") > 0
assert not {{"torch", "scipy", "nni", "pandas"}} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", program], check=True)
