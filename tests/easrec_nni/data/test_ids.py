"""Ids at their own length, against a list of strings."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from easrec_nni.data import prepare
from easrec_nni.data.ids import IdTable

TEXTS = st.lists(st.text(max_size=8), max_size=12)


@given(TEXTS, st.data())
def test_it_is_indexed_as_a_list_is(texts: list[str], data: st.DataObject) -> None:
    ids = IdTable.of(texts)
    assert len(ids) == len(texts) and ids.tolist() == list(ids) == texts == np.asarray(ids).tolist()
    begin, end = data.draw(st.integers(-15, 15)), data.draw(st.integers(-15, 15))
    assert ids[begin:end].tolist() == texts[begin:end]
    with pytest.raises(IndexError):
        ids[len(texts)]
    if texts:
        rows = data.draw(st.lists(st.integers(-len(texts), len(texts) - 1)))
        assert ids[np.array(rows, dtype=np.int64)].tolist() == [texts[row] for row in rows]
        assert [ids[row] for row in rows] == [texts[row] for row in rows]
        places = np.array(rows, dtype=np.int64) % len(texts)
        assert ids.take(places).tolist() == [texts[row] for row in rows]
        assert np.flatnonzero(ids == texts[0]).tolist() == [row for row, each in enumerate(texts) if each == texts[0]]


@given(st.lists(TEXTS, max_size=4), TEXTS)
def test_batches_of_arrow_are_joined(parts: list[list[str]], first: list[str]) -> None:
    sliced = [pa.array(["skipped", *part], pa.string())[1:] for part in parts]
    assert IdTable.of_batches(first, sliced).tolist() == first + [each for part in parts for each in part]


def test_a_long_id_costs_its_own_length(tmp_path: Path) -> None:
    rows = [f"u{row % 50},https://news.example/{row % 700},{row}" for row in range(4000)]
    rows.append(f"u1,{'x' * 20_000},4000")
    (tmp_path / "log.csv").write_text("user,item,time\n" + "\n".join(rows) + "\n")
    dataset = prepare(tmp_path / "log.csv", tmp_path / "out")
    assert "x" * 20_000 in dataset.item_ids.tolist()
    size = sum(file.stat().st_size for file in (tmp_path / "out").glob("item_ids.*"))
    assert size < sum(map(len, dataset.item_ids)) + 8 * 800 + 1000
