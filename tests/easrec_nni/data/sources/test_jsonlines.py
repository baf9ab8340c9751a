"""JSON in every layout, and values in nested objects: read, or refused with the way to write it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from easrec_nni.common.errors import UserError
from easrec_nni.data import PrepareSettings, prepare
from easrec_nni.data.sources.delimited import TextFile
from easrec_nni.data.sources.jsonlines import JsonTable
from tests.histories import histories
from tests.nested_files import FORMS, write_rows

EVENTS = [(f"u{n % 5}", f"i{n * 7 % 11}", 1_700_000_000 + n) for n in range(60)]
MANY = [{"user": f"u{n % 7}", "item": f"i{n * 5 % 23}", "ts": n} for n in range(30_000)]
FRAME = pd.DataFrame(MANY[:200])


def expected(without: str = "") -> dict[str, list[str]]:
    users = {user for user, _, _ in EVENTS} - {without}
    return {user: [item for other, item, _ in EVENTS if other == user] for user in users}


@pytest.mark.parametrize("form", FORMS)
def test_values_in_nested_objects_are_read_from_every_form_that_has_them(tmp_path: Path, form: str) -> None:
    rows: list[dict[str, Any]] = [
        {"context": None, "user": {"id": user, "name": "x"}, "event": {"item": {"a/b~c": item}}, "ts": time}
        for user, item, time in EVENTS
    ]
    if form == "log.jsonl":
        rows = [row | {"context": {}} for row in rows]
    file = write_rows(tmp_path / form, rows)
    settings = PrepareSettings(item_column="event.item.a/b~c", where="\"user.id\" <> 'u1' and ts > 0")
    assert histories(prepare(file, tmp_path / "out", settings=settings)) == expected(without="u1")


def test_names_with_dots_are_common_names_too(tmp_path: Path) -> None:
    nested = write_rows(tmp_path / "a.jsonl", [{"user": {"id": u}, "item": {"id": i}, "ts": t} for u, i, t in EVENTS])
    flat = write_rows(tmp_path / "b.jsonl", [{"user.id": u, "item.id": i, "ts": t} for u, i, t in EVENTS])
    assert histories(prepare(nested, tmp_path / "nested")) == histories(prepare(flat, tmp_path / "flat")) == expected()
    twins = [{"user": {"id": u}, "user.id": u, "item": i, "ts": t} for u, i, t in EVENTS]
    both = write_rows(tmp_path / "c.jsonl", twins)
    with pytest.raises(UserError, match=r"2 columns named 'user\.id'"):
        prepare(both, tmp_path / "both")


def test_a_row_without_the_inner_value_has_no_id(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [{"user": {"id": u}, "item": i, "ts": t} for u, i, t in EVENTS]
    for user in ("u0", None, {}, {"id": None}, ["u0"]):
        rows[7]["user"] = user
        with pytest.raises(UserError, match="1 of 60 rows have no user id, the first is data row 8"):
            prepare(write_rows(tmp_path / "log.jsonl", rows), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_condition_names_them_in_quotes(tmp_path: Path) -> None:
    file = write_rows(tmp_path / "log.jsonl", [{"user": {"id": u}, "item": i, "ts": t} for u, i, t in EVENTS])
    with pytest.raises(UserError, match="names with blanks or dots in double ones"):
        prepare(file, tmp_path / "out", settings=PrepareSettings(where="user.id <> 'u1'"))


@pytest.mark.parametrize("depth", [7, 8, 300, 100_000])
def test_objects_of_any_depth_are_read_or_refused_in_a_line(tmp_path: Path, depth: int) -> None:
    deep = '{"a":' * depth + "1" + "}" * depth
    file = tmp_path / "log.jsonl"
    file.write_text("".join(f'{{"user": "{u}", "item": "{i}", "ts": {t}, "more": {deep}}}\n' for u, i, t in EVENTS))
    if depth <= 300:
        assert histories(prepare(file, tmp_path / "out")) == expected()
        return
    with pytest.raises(UserError) as caught:
        prepare(file, tmp_path / "out")
    assert len(str(caught.value)) < 400


def test_objects_over_several_lines_are_read_in_order(tmp_path: Path) -> None:
    """As jq writes them; many more than the engine reads at once."""
    write_rows(tmp_path / "lines.jsonl", MANY)
    (tmp_path / "pretty.json").write_text("".join(json.dumps(row, indent=2) + "\n" for row in MANY))
    (tmp_path / "array.json").write_text(json.dumps(MANY, indent=2))
    names = ("lines.jsonl", "pretty.json", "array.json")
    lines, *others = (prepare(tmp_path / name, tmp_path / f"of-{name}") for name in names)
    assert len(lines.items) == len(MANY)
    assert [other.fingerprint for other in others] == [lines.fingerprint] * 2


@pytest.mark.parametrize("orient", ["columns", "index", "split"])
@pytest.mark.parametrize("indent", [None, 2])
def test_a_table_as_one_object_is_told_apart(tmp_path: Path, orient: str, indent: int | None) -> None:
    FRAME.to_json(tmp_path / "log.json", orient=orient, indent=indent)  # type: ignore[call-overload]
    with pytest.raises(UserError, match="one object for the whole table: .* orient='records', lines=True"):
        prepare(tmp_path / "log.json", tmp_path / "out")
    FRAME.to_json(tmp_path / "log.json", orient="records", lines=True)
    assert len(prepare(tmp_path / "log.json", tmp_path / "out").items) == len(FRAME)


def test_rows_under_a_key_are_named(tmp_path: Path) -> None:
    (tmp_path / "log.json").write_text(json.dumps({"status": "ok", "hits": MANY[:200]}, indent=1))
    with pytest.raises(UserError, match="rows in a list under 'hits': .* jq '.hits' log.json > rows.json"):
        prepare(tmp_path / "log.json", tmp_path / "out")
    (tmp_path / "log.json").write_text(json.dumps({"status": "ok", "hits": MANY}))
    with pytest.raises(UserError, match="begins with an object of more than 500000 characters"):
        prepare(tmp_path / "log.json", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_names_and_layout_are_those_of_the_first_objects(tmp_path: Path) -> None:
    file = tmp_path / "log.json"
    file.write_text('{"a": {"b": 1,\n "c": {}}}\n{"a": {"d": [1]}, "e": null}')
    table = JsonTable.at([TextFile.at(file)], "utf-8")
    assert table.names == ("a.b", "a.c", "a.d", "e") and table.layout == "unstructured"


def test_a_map_with_very_many_keys_stays_one_column(tmp_path: Path) -> None:
    rows = [
        {"user": {"id": u}, "item": i, "ts": t, "scores": {f"{i}-{place}-{t}": place for place in range(3)}}
        for u, i, t in EVENTS
    ]
    file = write_rows(tmp_path / "log.jsonl", rows)
    assert JsonTable.at([TextFile.at(file)], "utf-8").names == ("user.id", "item", "ts", "scores")
    assert histories(prepare(file, tmp_path / "out")) == expected()
