"""JSON in layouts other than an object a line: read, or refused with the way to write it."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from easrec_nni.common.errors import UserError
from easrec_nni.data import prepare

ROWS = [{"user": f"u{n % 7}", "item": f"i{n * 5 % 23}", "ts": n} for n in range(30_000)]
TABLE = pd.DataFrame(ROWS[:200])


def test_objects_over_several_lines_are_read_in_order(tmp_path: Path) -> None:
    """As jq writes them; many more than the engine reads at once."""
    (tmp_path / "lines.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    (tmp_path / "pretty.json").write_text("".join(json.dumps(row, indent=2) + "\n" for row in ROWS))
    (tmp_path / "array.json").write_text(json.dumps(ROWS, indent=2))
    names = ("lines.jsonl", "pretty.json", "array.json")
    lines, *others = (prepare(tmp_path / name, tmp_path / f"of-{name}") for name in names)
    assert len(lines.items) == len(ROWS)
    assert [other.fingerprint for other in others] == [lines.fingerprint] * 2


@pytest.mark.parametrize("orient", ["columns", "index", "split"])
@pytest.mark.parametrize("indent", [None, 2])
def test_a_table_as_one_object_is_told_apart(tmp_path: Path, orient: str, indent: int | None) -> None:
    TABLE.to_json(tmp_path / "log.json", orient=orient, indent=indent)  # type: ignore[call-overload]
    with pytest.raises(UserError, match="one object for the whole table: .* orient='records', lines=True"):
        prepare(tmp_path / "log.json", tmp_path / "out")
    TABLE.to_json(tmp_path / "log.json", orient="records", lines=True)
    assert len(prepare(tmp_path / "log.json", tmp_path / "out").items) == len(TABLE)


def test_rows_under_a_key_are_named(tmp_path: Path) -> None:
    (tmp_path / "log.json").write_text(json.dumps({"status": "ok", "hits": ROWS[:200]}, indent=1))
    with pytest.raises(UserError, match="rows in a list under 'hits': .* jq '.hits' log.json > rows.json"):
        prepare(tmp_path / "log.json", tmp_path / "out")
    (tmp_path / "log.json").write_text(json.dumps({"status": "ok", "hits": ROWS}))
    with pytest.raises(UserError, match="begins with an object of more than 500000 characters"):
        prepare(tmp_path / "log.json", tmp_path / "out")
    assert not (tmp_path / "out").exists()
