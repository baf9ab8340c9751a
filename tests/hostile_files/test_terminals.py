"""Control characters for terminals."""

from __future__ import annotations

import io
import json
from pathlib import Path

from rich.console import Console

from easrec_nni.architecture.document import Architecture
from easrec_nni.common.errors import UserError
from tests.hostile_files.conftest import FOUND, refused


def test_terminals_are_not_commanded(tmp_path: Path) -> None:
    assert UserError("a\x1b[2J\x07\u202eb").message == "a\\x1b[2J\\x07\\u202eb"
    for part in ({"cost": {"\x1b[2J": 1.0}}, {"metrics": {"\x1b]0;x\x07": 1.0}}, {"versions": {"a": "\x1b[2J"}}):
        refused(lambda part=part: Architecture.parse(json.dumps(json.loads(FOUND.to_json()) | part)))  # type: ignore[misc]
    dataset = {"name": "[red]\x1b[2J", "n_users": 1, "n_items": 9}
    refused(lambda: Architecture.parse(json.dumps(json.loads(FOUND.to_json()) | {"dataset": dataset})))
    plain = Architecture.parse(json.dumps(json.loads(FOUND.to_json()) | {"dataset": dataset | {"name": "[red]x[/]"}}))
    console = Console(file=io.StringIO(), width=80, force_terminal=True)
    console.print(plain.draw())
    assert "[red]x[/]" in console.file.getvalue()  # type: ignore[attr-defined]
