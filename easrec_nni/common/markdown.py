"""Tables in Markdown."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

__all__ = ["markdown_table"]


def markdown_table(headings: Sequence[str], rows: Iterable[Sequence[str]], right: Sequence[bool] | None = None) -> str:
    r"""Table whose cells may hold Markdown; a ``|`` in them is escaped where it is not yet.

    Parameters
    ----------
    headings
        Titles of the columns.
    rows
        Cells of each row.
    right
        Whether each column is set to the right; by default all but the first.

    Examples
    --------
    >>> print(markdown_table(["network", "figure"], [["a|b", "**900**"]]))
    | network | figure |
    |---|---:|
    | a\|b | **900** |
    """
    aligned = [number > 0 for number in range(len(headings))] if right is None else right
    marks = "|".join("---:" if to_the_right else "---" for to_the_right in aligned)
    return "\n".join([_line(headings), f"|{marks}|", *map(_line, rows)])


def _line(cells: Sequence[str]) -> str:
    escaped = [re.sub(r"(?<!\\)\|", r"\\|", cell) for cell in cells]
    return f"| {' | '.join(escaped)} |"
