"""Tables of scores: numbers, order, what is left out, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from easrec_nni.common.errors import UserError
from easrec_nni.data import Dataset, prepare
from easrec_nni.data.score_table import read_scores

ROWS = [("u3", "i4", 1.5), ("u1", "i7", -2.0), ("u3", "i9", 2.5), ("u1", "i2", 0.25), ("u3", "i1", 1.5)]


def numbers(dataset: Dataset, rows: list[tuple[str, str, float]]) -> list[tuple[int, int, float]]:
    """Rows with the dataset's numbers, by user and from the highest score down."""
    users, items = dataset.user_ids.tolist(), dataset.item_ids.tolist()
    found = [(users.index(user), items.index(item), score) for user, item, score in rows]
    return sorted(found, key=lambda row: (row[0], -row[2], row[1]))


@pytest.mark.parametrize("name", ["a.csv", "a.tsv", "a.jsonl", "a.parquet", "a.csv.gz"])
def test_scores_are_numbered_and_sorted_whatever_the_format(name: str, tiny_dataset: Dataset, tmp_path: Path) -> None:
    frame = pd.DataFrame(ROWS, columns=["user_id", "item_id", "score"])
    path = tmp_path / name
    if name.endswith("parquet"):
        frame.to_parquet(path)
    elif name.endswith("jsonl"):
        frame.to_json(path, orient="records", lines=True)
    else:
        frame.to_csv(path, index=False, sep="\t" if name.endswith("tsv") else ",")
    table = read_scores(path, tiny_dataset)
    found = list(zip(table.users.tolist(), table.items.tolist(), table.scores.tolist(), strict=True))
    assert found == numbers(tiny_dataset, ROWS)
    assert table.dropped == {}


def write(path: Path, *rows: str, header: str = "user_id,item_id,score") -> Path:
    path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return path


def test_unknown_ids_are_left_out_and_counted(tiny_dataset: Dataset, tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "u1,i1,1", "nobody,i1,2", "u1,nothing,3", "nobody,nothing,4", "u1,i2,5")
    table = read_scores(path, tiny_dataset)
    assert table.scores.tolist() == [5.0, 1.0]
    assert table.dropped == {
        "of a user that is not in the dataset": 2,
        "of an item that is not in the dataset": 1,
    }


def test_ids_that_are_whole_numbers(tmp_path: Path) -> None:
    rows = [f"{user},{100 + (user + step) % 9},{step}" for user in range(9) for step in range(5)]
    dataset = prepare(write(tmp_path / "log.csv", *rows, header="user,item,time"), tmp_path / "prepared")
    frame = pd.DataFrame({"user_id": [3, 3], "item_id": [104.0, 101.0], "score": [1, 2]})
    frame.to_parquet(tmp_path / "a.parquet")
    table = read_scores(tmp_path / "a.parquet", dataset)
    found = [
        (dataset.user_ids[user], dataset.item_ids[item]) for user, item in zip(table.users, table.items, strict=True)
    ]
    assert found == [("3", "101"), ("3", "104")]


def test_what_cannot_be_read_is_refused(tiny_dataset: Dataset, tmp_path: Path) -> None:
    for rows, header, message in (
        (
            ["u1,i1,1"],
            "user_id,item_id,probability",
            "has no column 'score': its columns are 'user_id', 'item_id', 'prob",
        ),
        (["u1,i1,1"], "who,item_id,score", "which column is the user"),
        (["u1,i1,1", "u1,i2,high", "u1,i3,inf"], "user_id,item_id,score", "2 of 3 rows have no finite number as score"),
        (["u1,i1,1", "u1,i1,2"], "user_id,item_id,score", "1 pairs of a user and an item have several rows"),
    ):
        with pytest.raises(UserError, match=message):
            read_scores(write(tmp_path / "a.csv", *rows, header=header), tiny_dataset)
    frame = pd.DataFrame(ROWS, columns=["user_id", "item_id", "score"])
    frame.to_parquet(tmp_path / "a.parquet")
    content = (tmp_path / "a.parquet").read_bytes()
    (tmp_path / "a.parquet").write_bytes(content[: len(content) // 2])
    with pytest.raises(UserError, match=r"a\.parquet"):
        read_scores(tmp_path / "a.parquet", tiny_dataset)
