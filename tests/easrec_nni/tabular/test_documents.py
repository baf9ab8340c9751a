from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from easrec_nni.common.documents import LARGEST_FILE_BYTES
from easrec_nni.common.errors import UserError
from easrec_nni.tabular.documents import read_table, write_table


@pytest.mark.parametrize("name", ["table.json", "table.json.gz"])
def test_a_table_is_read_as_it_was_written(name: str, make_table, tmp_path: Path) -> None:
    table = make_table(ties=True)
    write_table(table, tmp_path / name)
    assert read_table(tmp_path / name) == table
    content = (tmp_path / name).read_bytes()
    write_table(read_table(tmp_path / name), tmp_path / name)
    assert (tmp_path / name).read_bytes() == content
    text = (gzip.decompress(content) if name.endswith(".gz") else content).decode()
    assert sum(line.startswith('  {"architecture": ') for line in text.splitlines()) == len(table.runs)


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.999])
@pytest.mark.parametrize("name", ["table.json", "table.json.gz"])
def test_a_file_that_is_cut_short_is_one_line(share: float, name: str, make_table, tmp_path: Path) -> None:
    write_table(make_table(), tmp_path / name)
    content = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(content[: int(share * len(content))])
    with pytest.raises(UserError, match="table collect"):
        read_table(tmp_path / name)


def test_a_small_file_that_unpacks_to_gigabytes_is_refused(tmp_path: Path) -> None:
    (tmp_path / "table.json.gz").write_bytes(gzip.compress(b" " * (LARGEST_FILE_BYTES + 1)))
    with pytest.raises(UserError, match="larger than"):
        read_table(tmp_path / "table.json.gz")


def changed(document: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    target = document
    *parts, last = path.split(".")
    for part in parts:
        target = target[int(part) if part.isdigit() else part]  # type: ignore[index]
    target[int(last) if last.isdigit() else last] = value  # type: ignore[index]
    return document


DAMAGE = [
    ("kind", "another table"),
    ("schema_version", 2),
    ("runs.0.architecture", 18),
    ("runs.0.architecture", -1),
    ("runs.1.seed", 0),
    ("runs.0.values", [0.5]),
    ("runs.0.values.0", "high"),
    ("architectures.1.choices.depth", 1),
    ("architectures.0.choices.depth", 4),
    ("architectures.0.cost.madds_per_user", -1),
    ("space.layers", 10**9),
    ("figures.0", "test_ndcg@10_full"),
    ("noise.ndcg@10_full.valid_test.kendall", 2),
]


@pytest.mark.parametrize(("path", "value"), DAMAGE, ids=lambda each: str(each)[:40])
def test_contradictions_are_refused(path: str, value: Any, make_table, tmp_path: Path) -> None:
    document = changed(make_table().as_json(), path, value)
    (tmp_path / "table.json").write_text(json.dumps(document))
    with pytest.raises(UserError, match="damaged or of another version"):
        read_table(tmp_path / "table.json")
