"""``report.html``: the report as one self-contained file."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape
from markupsafe import Markup

from easrec_nni.common.figures import inline_svg
from easrec_nni.report.composing import SectionContent
from easrec_nni.report.content import Block, Column, Table

__all__ = ["html_report"]

FOLDER = Path(__file__).parent


def html_report(title: str, sections: Sequence[SectionContent]) -> str:
    """Render a report as an HTML page.

    Parameters
    ----------
    title
        Heading of the report, any text.
    sections
        Sections of the report.
    """
    # Everything that templates insert is escaped, except pictures, which are matplotlib's SVG.
    environment = Environment(
        loader=FileSystemLoader(FOLDER),
        autoescape=select_autoescape(default=True),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.tests["numeric"] = _is_numeric
    environment.filters["kind"] = _kind
    environment.filters["svg"] = lambda drawn: Markup(inline_svg(drawn))  # noqa: S704
    environment.filters["headings"] = _headings
    environment.filters["parts"] = lambda table: [
        (name, list(rows)) for name, rows in groupby(table.rows, lambda r: r.group)
    ]
    environment.globals["style"] = Markup((FOLDER / "style.css").read_text(encoding="utf-8"))
    environment.globals["script"] = Markup((FOLDER / "sort.js").read_text(encoding="utf-8"))
    return environment.get_template("report.html.jinja").render(title=title, sections=sections)


def _kind(block: Block) -> str:
    return type(block).__name__


def _is_numeric(column: Column, table: Table) -> bool:
    """Whether a column has numbers, which are right-aligned and sortable."""
    entries = (row.entries.get(column.key) for row in table.rows)
    return any(entry is not None and entry.value is not None for entry in entries)


def _headings(table: Table) -> list[tuple[str, int, bool]]:
    """Headings over several columns: text, number of columns, whether they are published."""
    spans = groupby(table.columns, lambda column: (column.group, column.published))
    return [(group, len(list(columns)), published) for (group, published), columns in spans]
