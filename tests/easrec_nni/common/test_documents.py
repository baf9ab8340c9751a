"""Typed documents: round trips, and one-line errors for damaged files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from easrec_nni.common.documents import Document, Number, ResultDocument, Value, read_document
from easrec_nni.common.errors import UserError


class Part(Document):
    name: str
    size: int | None = None


class Example(ResultDocument):
    figures: dict[str, Number]
    parameters: dict[str, Value] = {}
    part: Part
    later: float = 0.0


TEXT = (
    '{"figures": {"a": 1, "b": 1.0, "c": 0.30000000000000004}, "parameters": {"x": true, "y": null, "z": "1", "w": 2}, '
    '"part": {"name": "p", "of a later version": [1, {"k": 2.0}]}, "unknown": {"q": 1}, "commit": null}'
)


def test_a_document_is_written_as_it_was_read(tmp_path: Path) -> None:
    """Numbers keep their type, unknown keys stay, and missing fields are not added."""
    (tmp_path / "example.json").write_text(TEXT)
    document = read_document(tmp_path / "example.json", Example, "make it again")
    assert document.part.size is None and document.later == 0.0 and document.versions == {}
    written = json.dumps(document.as_json(), sort_keys=True)
    assert written == json.dumps(json.loads(TEXT), sort_keys=True)


def test_provenance_is_at_the_end() -> None:
    document = Example(figures={"a": 1}, part=Part(name="p"), command="easrec search", written="today")
    assert list(document.as_json()) == ["figures", "part", "command", "written"]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{", "is damaged"),
        ('{"figures": {"a": NaN}, "part": {"name": "p"}}', "NaN is not a JSON number"),
        ('{"figures": {"a": 1e999}, "part": {"name": "p"}}', "figures.a"),
        ('{"figures": {}, "part": {}}', r"the key 'part\.name' is missing"),
        ("[" * 100_000, "is damaged"),
        ("[]", "is damaged or of another version"),
    ],
)
def test_a_damaged_document_is_one_line_with_the_remedy(text: str, reason: str, tmp_path: Path) -> None:
    file = tmp_path / "example.json"
    file.write_text(text)
    with pytest.raises(UserError, match=reason) as caught:
        read_document(file, Example, "make it again")
    assert caught.value.message.startswith(str(file)) and caught.value.message.endswith("; make it again")
    assert "\n" not in caught.value.message and len(caught.value.message) < 500
    with pytest.raises(UserError, match="cannot read .*; make it again"):
        read_document(tmp_path / "missing.json", Example, "make it again")
