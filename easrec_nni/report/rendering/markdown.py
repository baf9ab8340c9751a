"""``report.md``: the report as Markdown, with the plots in files next to it."""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from itertools import groupby

from easrec_nni.common.figures import Picture
from easrec_nni.common.markdown import markdown_table
from easrec_nni.report.composing import SectionContent
from easrec_nni.report.content import Block, Column, Entry, Listing, Paragraph, Table

__all__ = ["escape_markdown", "markdown_report"]

FENCE = "```"


def escape_markdown(text: str) -> str:
    """Escape text for Markdown: no markup, no HTML, one line.

    Examples
    --------
    >>> print(escape_markdown("R&D <i>"))
    R&amp;D &lt;i&gt;
    """
    flat = html.escape(" ".join(text.split()), quote=False)
    return re.sub(r"([\\`*_\[\]|])", r"\\\1", flat)


def markdown_report(title: str, sections: Sequence[SectionContent]) -> str:
    """Render a report as Markdown.

    Parameters
    ----------
    title
        Heading of the report, any text.
    sections
        Sections of the report.
    """
    parts = [f"# {escape_markdown(title)}"]
    for section in sections:
        parts += [f"## {escape_markdown(section.title)}", f"**{escape_markdown(section.verdict)}**"]
        parts += [f"> {escape_markdown(warning)}" for warning in section.warnings]
        for chapter in section.chapters:
            parts.append(f"### {escape_markdown(chapter.title)}")
            parts += [_block(block) for block in chapter.blocks]
    return "\n\n".join(parts) + "\n"


def _block(block: Block) -> str:
    if isinstance(block, Paragraph):
        return f"> {escape_markdown(block.text)}" if block.strong else escape_markdown(block.text)
    if isinstance(block, Picture):
        shown = f"![{escape_markdown(block.alt)}](plots/{block.name}.svg)"
        return f"{shown}\n\n*{escape_markdown(block.title)}.* {escape_markdown(block.caption)}"
    if isinstance(block, Listing):
        return f"{escape_markdown(block.title)}:\n\n{FENCE}json\n{block.text.replace(FENCE, '')}\n{FENCE}"
    return _table(block)


def _table(table: Table) -> str:
    numeric = [any(_value(row.entries.get(column.key)) is not None for row in table.rows) for column in table.columns]
    headings = [escape_markdown(table.first), *(_heading(column) for column in table.columns)]
    rows: list[list[str]] = []
    for part, members in groupby(table.rows, lambda row: row.group):
        if part:
            rows.append([f"*{escape_markdown(part)}*", *("" for _ in table.columns)])
        for row in members:
            entries = [_entry(row.entries.get(column.key), column) for column in table.columns]
            rows.append([escape_markdown(row.name), *entries])
    lines = [f"**{escape_markdown(table.title)}**", "", markdown_table(headings, rows, [False, *numeric])]
    for note in table.notes:
        lines += ["", escape_markdown(note)]
    return "\n".join(lines)


def _value(entry: Entry | None) -> float | None:
    return entry.value if entry else None


def _heading(column: Column) -> str:
    return escape_markdown(f"{column.title}, {column.group}" if column.group else column.title)


def _entry(entry: Entry | None, column: Column) -> str:
    if entry is None:
        return ""
    text = escape_markdown(entry.text)
    if entry.best:
        text = f"**{text}**"
    elif column.published and entry.value is not None:
        text = f"*{text}*"
    star = "★" if entry.star else ""
    return f"{text}{star}" + (f" {escape_markdown(entry.spread)}" if entry.spread else "")
