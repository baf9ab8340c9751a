"""Front of an elastic supernet: records against brute force, and files."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from easrec_nni.common.errors import UserError
from easrec_nni.report.front import front_records, write_front_files
from tests.easrec_nni.searching.test_picking import a_front


@pytest.mark.parametrize("seed", range(6))
def test_records_are_those_that_no_other_beats(seed: int) -> None:
    front = a_front(seed)
    records = front_records(front, "parameters")
    assert [record["parameters"] for record in records] == sorted(row.cost["parameters"] for row in front.architectures)
    for record in records:
        cost, accuracy = float(record["parameters"] or 0), float(record["ndcg@10_full"] or 0)
        beaten = any(
            row.cost["parameters"] <= cost
            and front.accuracy(row) >= accuracy
            and (row.cost["parameters"], front.accuracy(row)) != (cost, accuracy)
            for row in front.architectures
        )
        assert record["pareto"] == (not beaten)
        assert record["share_of_cost"] == pytest.approx(cost / front.unpruned().cost["parameters"])
        assert record["share_of_accuracy"] == pytest.approx(accuracy / front.accuracy(front.unpruned()))


def test_an_unpruned_network_without_a_hit_has_no_shares() -> None:
    front = a_front()
    rows = [row.model_copy(update={"metrics": {front.figure: 0.0}}) for row in front.architectures]
    records = front_records(front.model_copy(update={"architectures": rows}), "parameters")
    assert {record["share_of_accuracy"] for record in records} == {0.0}
    assert [record["pareto"] for record in records] == [True] + [False] * (len(rows) - 1)


def test_files_hold_every_architecture_and_are_alike_every_time(tmp_path: Path) -> None:
    front = a_front()
    for folder in ("one", "two"):
        names = [file.name for file in write_front_files(front, "madds_per_user", tmp_path / folder)]
    assert names == ["front.csv", "front.svg", "front.png"]
    assert all((tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes() for name in names)
    with (tmp_path / "one" / "front.csv").open(newline="") as file:
        assert len(list(csv.DictReader(file))) == len(front.architectures)
    svg = (tmp_path / "one" / "front.svg").read_text()
    assert "unpruned" in svg and "validation ndcg@10_full" in svg
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="is a file"):
        write_front_files(front, "madds_per_user", tmp_path / "file")
