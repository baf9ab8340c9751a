"""Tables in Markdown."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

__all__ = ["markdown_table"]


def markdown_table(headings: Sequence[str], rows: Iterable[Sequence[str]], right: Sequence[bool] | None = None) -> str:
    r"""Markdown table; cells may hold Markdown, and an unescaped ``|`` in them is escaped.

    Parameters
    ----------
    headings
        Titles of the columns.
    rows
        Cells of each row.
    right
        Whether each column is right-aligned; by default all but the first.

    Examples
    --------
    >>> print(markdown_table(["network", "figure"], [["a|b", "**900**"]]))
    | network | figure |
    |---|---:|
    | a\|b | **900** |
    """
    aligned = [number > 0 for number in range(len(headings))] if right is None else right
    marks = "|".join("---:" if is_right else "---" for is_right in aligned)
    return "\n".join([_line(headings), f"|{marks}|", *map(_line, rows)])


def _line(cells: Sequence[str]) -> str:
    escaped = [re.sub(r"(?<!\\)\|", r"\\|", cell) for cell in cells]
    return f"| {' | '.join(escaped)} |"
