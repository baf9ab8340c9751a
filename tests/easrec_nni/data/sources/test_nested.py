"""Lists in JSON, Parquet and Arrow, of which each element is an interaction, against plain loops."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from easrec_nni.common.errors import UserError
from easrec_nni.data import PrepareSettings, prepare, preview
from easrec_nni.data.sources.nested import NestedColumn, lists_to_open, note_on_lists, short_names
from tests.histories import histories
from tests.nested_files import FORMS, write_rows, write_table

Row = dict[str, Any]
Write = Callable[[list[Row]], Path]


@pytest.fixture(params=FORMS)
def write(request: pytest.FixtureRequest, tmp_path: Path) -> Write:
    """Writer of rows in one of the forms that have lists."""
    return partial(write_rows, tmp_path / request.param)


def drawn(seed: int, n_users: int = 12) -> list[Row]:
    """Sessions as OTTO has them, in a random order of time; some sessions are empty."""
    draw = random.Random(seed)
    return [
        {
            "session": user,
            "events": [
                {"aid": draw.randrange(9), "ts": draw.randrange(10**9), "type": draw.choice(["clicks", "orders"])}
                for _ in range(draw.choice([0, 3, 4, 5, 8]))
            ],
        }
        for user in range(n_users)
    ]


def by_time(interactions: Iterable[tuple[Any, Any, int]]) -> dict[str, list[str]]:
    """Items of each user in the order of time."""
    users = defaultdict(list)
    for user, item, _ in sorted(interactions, key=lambda interaction: interaction[2]):
        users[str(user)].append(str(item))
    return users


def by_row(rows: Iterable[Row]) -> dict[str, list[str]]:
    """Items of each user in the order of the rows and of their lists."""
    users = defaultdict(list)
    for row in rows:
        users[row["user"]].extend(map(str, row["item"]))
    return users


@pytest.mark.parametrize("seed", range(3))
def test_each_object_of_a_list_is_an_interaction(write: Write, tmp_path: Path, seed: int) -> None:
    rows = drawn(seed)
    file = write(rows)
    summary = preview(file)
    assert "events is a list: each of its elements is an interaction" in summary.notes
    interactions = [(row["session"], event["aid"], event["ts"]) for row in rows for event in row["events"]]
    dataset = prepare(file, tmp_path / "out")
    assert histories(dataset) == by_time(interactions)
    assert dataset.manifest.counts.interactions == len(interactions)


def test_a_condition_may_use_fields_of_the_opened_list_and_of_no_other(write: Write, tmp_path: Path) -> None:
    rows = [row | {"tags": [{"name": "a"}, {"name": "b"}], "plain": ["x", "y"]} for row in drawn(5, 30)]
    file, where = write(rows), "\"events.type\" = 'orders' and session > 3"
    dataset = prepare(file, tmp_path / "out", settings=PrepareSettings(where=where))
    assert histories(dataset) == by_time(
        (row["session"], event["aid"], event["ts"])
        for row in rows
        for event in row["events"]
        if row["session"] > 3 and event["type"] == "orders"
    )
    with pytest.raises(UserError, match=r"tags\.name has several values for an interaction, as tags is a list"):
        prepare(file, tmp_path / "other", settings=PrepareSettings(where="\"tags.name\" = 'a'"))
    assert not (tmp_path / "other").exists()


def test_lists_beside_each_other_are_read_together(write: Write, tmp_path: Path) -> None:
    rows = [
        {"who": {"id": row["session"]}, "log": {"items": [e["aid"] for e in row["events"]]}}
        | {"times": [e["ts"] for e in row["events"]]}
        for row in drawn(1)
        if row["events"]
    ]
    settings = PrepareSettings(user_column="who.id", item_column="log.items", time_column="times")
    summary = preview(write(rows), settings=settings)
    assert "log.items, times are lists: elements at the same place are one interaction" in summary.notes
    dataset = prepare(write(rows), tmp_path / "out", settings=settings)
    assert histories(dataset) == by_time(
        (row["who"]["id"], item, time)
        for row in rows
        for item, time in zip(row["log"]["items"], row["times"], strict=True)
    )
    rows[2]["times"] = rows[2]["times"][:-1]
    with pytest.raises(UserError, match="rows have no readable time"):
        prepare(write(rows), tmp_path / "other", settings=settings)
    rows[2]["times"] += [1, 2, 3]
    with pytest.raises(UserError, match="2 of [0-9]+ rows have no item id"):
        prepare(write(rows), tmp_path / "other", settings=settings)
    assert not (tmp_path / "other").exists()


def test_a_list_may_be_in_the_order_of_time(write: Write, tmp_path: Path) -> None:
    """Many more rows than the engine reads at once."""
    rows = [{"user": f"u{n % 5_000}", "item": [n % 97, n % 89, n % 83]} for n in range(20_000)]
    dataset = prepare(write(rows), tmp_path / "out", settings=PrepareSettings(order_is_time=True))
    assert histories(dataset) == by_row(rows)


def test_a_value_outside_the_list_is_that_of_all_its_elements(write: Write, tmp_path: Path) -> None:
    baskets = [{"user": f"u{n % 4}", "item": [f"i{n % 7}", f"j{n % 5}"], "time": n} for n in range(40)]
    dataset = prepare(write(baskets), tmp_path / "baskets")
    assert histories(dataset) == by_time((row["user"], item, row["time"]) for row in baskets for item in row["item"])
    films = [{"item": f"i{n}", "seen": [{"user_id": (n + k) % 6, "ts": n * 7 + k} for k in range(4)]} for n in range(9)]
    dataset = prepare(write(films), tmp_path / "films")
    assert histories(dataset) == by_time((s["user_id"], row["item"], s["ts"]) for row in films for s in row["seen"])


def test_a_row_without_its_list_is_counted(write: Write, tmp_path: Path) -> None:
    rows = drawn(2)
    without: list[Any] = [None] if write(rows).suffix in (".parquet", ".feather") else [None, 5, [5], "x"]
    for value in without:
        changed = [*rows[:5], {"session": 99, "events": value}, *rows[5:]]
        with pytest.raises(UserError, match="1 of [0-9]+ rows have no item id"):
            prepare(write(changed), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_single_object_in_the_place_of_a_list_is_one_interaction(tmp_path: Path) -> None:
    """As programs write it that turn XML into JSON."""
    rows = drawn(3)
    single = {"aid": 3, "ts": 10**9}
    rows[6]["events"], rows[7]["events"] = single, []
    found = histories(prepare(write_rows(tmp_path / "log.jsonl", rows), tmp_path / "out"))
    assert found["6"] == ["3"] and "7" not in found


@pytest.mark.parametrize("form", ["log.parquet", "log.feather"])
@pytest.mark.parametrize("kind", [pa.large_list, pa.list_view, pa.large_list_view, lambda value: pa.list_(value, 2)])
def test_lists_of_every_arrow_type_are_read(tmp_path: Path, form: str, kind: Callable[[Any], pa.DataType]) -> None:
    rows: list[Row] = [{"user": f"u{n % 5}", "item": [f"i{n % 7}", f"j{n % 3}"]} for n in range(40)]
    lists = pa.array([row["item"] for row in rows], type=kind(pa.string()))
    table = pa.table({"user": [row["user"] for row in rows], "item": lists})
    file = write_table(tmp_path / form, table)
    dataset = prepare(file, tmp_path / "out", settings=PrepareSettings(order_is_time=True))
    assert histories(dataset) == by_row(rows)


def test_a_list_of_user_ids_stays_closed() -> None:
    columns = [NestedColumn(("user",), ()), NestedColumn(("items",), ()), NestedColumn(("more",), ("ts",))]
    settings = PrepareSettings()
    assert lists_to_open(columns, {"user": 0, "item": 1}, settings) == (("items",),)
    assert lists_to_open(columns, {"user": 0, "item": 1, "time": 2}, settings) == (("items",), ("more",))
    assert short_names(columns) == {2: "ts"}
    assert note_on_lists([("a", "b")]) == "a.b is a list: each of its elements is an interaction"
