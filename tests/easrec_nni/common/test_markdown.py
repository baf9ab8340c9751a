"""Markdown tables, read back cell by cell."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from easrec_nni.common.markdown import markdown_table

CELL = st.text(st.characters(codec="ascii", exclude_characters="\\", categories=["L", "N", "P", "S", "Zs"])).map(
    str.strip
)


@given(st.integers(1, 4).flatmap(lambda width: st.lists(st.lists(CELL, min_size=width, max_size=width), min_size=1)))
def test_any_cells_stay_in_their_columns(rows: list[list[str]]) -> None:
    lines = markdown_table(rows[0], rows[1:]).splitlines()
    assert lines.pop(1) == f"|---|{'---:|' * (len(rows[0]) - 1)}"
    # A Markdown reader ends a cell at a bar that no backslash precedes.
    read = [[cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]
    assert read == rows


def test_what_is_escaped_already_stays() -> None:
    assert markdown_table([r"a\|b|c"], []).splitlines()[0] == r"| a\|b\|c |"
