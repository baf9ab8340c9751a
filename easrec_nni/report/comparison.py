"""Comparison of networks: test accuracy, cost and time; for terminal, CSV and Markdown."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.table import Table
from rich.text import Text

from easrec_nni.common.errors import UserError
from easrec_nni.common.files import read_json
from easrec_nni.common.markdown import markdown_table
from easrec_nni.common.readable import readable_count
from easrec_nni.data.split_names import LEAVE_ONE_OUT
from easrec_nni.evaluation.figures import RANKINGS, REFITTED

__all__ = [
    "COLUMNS",
    "Column",
    "ComparisonRow",
    "comparison_csv",
    "comparison_markdown",
    "comparison_table",
    "read_run",
]


SECTIONS = ("cost", "inference", "test", "test_refitted")


@dataclass(frozen=True)
class Column:
    """Column of a figure: its key with protocol and unit, title, format, and best direction."""

    key: str
    title: str
    show: Callable[[float], str]
    more_is_better: bool


def _accuracy(value: float) -> str:
    return f"{value:.4f}"


def _milliseconds(value: float) -> str:
    return f"{value:.3f}"


COLUMNS = (
    *(
        Column(f"{key}@10_{protocol}{suffix}", f"{title}@10 {protocol}{suffix.replace('_', ', ')}", _accuracy, True)
        for suffix in ("", REFITTED)
        for protocol in RANKINGS
        for key, title in (("recall", "Recall"), ("mrr", "MRR"), ("ndcg", "NDCG"))
    ),
    Column("madds_per_user", "multiply-adds per user", readable_count, False),
    Column("parameters", "parameters", readable_count, False),
    Column("inference_ms_per_user", "inference ms per user", _milliseconds, False),
)
"""Figures of the comparison (rankings: :mod:`easrec_nni.evaluation.metrics`), none of them published."""


@dataclass(frozen=True)
class ComparisonRow:
    """Figures of one network by the keys of :data:`COLUMNS`, without missing ones; all rows have the same split."""

    name: str
    figures: Mapping[str, float]
    split: str = LEAVE_ONE_OUT

    def text(self, column: Column) -> str:
        """Human-readable figure of a column."""
        return column.show(self.figures[column.key]) if column.key in self.figures else "–"


def read_run(name: str, file: str | Path) -> ComparisonRow:
    """Read a row from a run's ``metrics.json``: sections ``test``, ``test_refitted``, ``cost`` and ``inference``.

    Figures of a refitted network have names, and thus columns, of their own.

    Raises
    ------
    UserError
        The file is missing, or does not have a run's figures.
    """
    path = Path(file)
    try:
        document = read_json(path)
    except (OSError, ValueError):
        raise UserError(f"there is no readable {path}; run `python -m easrec_nni.retrain` again") from None
    figures: dict[str, float] = {}
    keys = {column.key for column in COLUMNS}
    if isinstance(document, dict):
        for section in (document, *(document.get(part) for part in SECTIONS)):
            if isinstance(section, dict):
                figures |= {key: float(value) for key, value in section.items() if key in keys and _is_finite(value)}
    if not figures.keys() & {"ndcg@10_full", f"ndcg@10_full{REFITTED}"}:
        raise UserError(f"{path} holds no test figures; run `python -m easrec_nni.retrain` again")
    dataset = document.get("dataset")
    about = dataset if isinstance(dataset, dict) else document  # a run's, or what `easrec evaluate --out` wrote
    return ComparisonRow(name, figures, str(about.get("split", LEAVE_ONE_OUT)))


def _is_finite(value: object) -> bool:
    try:
        return isinstance(value, int | float) and math.isfinite(value)
    except OverflowError:  # JSON's integers have no limit
        return False


def _shown(rows: Sequence[ComparisonRow]) -> list[Column]:
    """Columns that at least one row has.

    Raises
    ------
    UserError
        Rows have different splits, so that their figures cannot stand in one column.
    """
    if len({row.split for row in rows}) > 1:
        splits = ", ".join(f"{row.name} {row.split}" for row in rows)
        raise UserError(f"networks were tested by different splits ({splits}): compare those of one split")
    return [column for column in COLUMNS if any(column.key in row.figures for row in rows)]


def _best(rows: Sequence[ComparisonRow], column: Column) -> str | None:
    """Best figure of a column as columns, so that equal-looking figures are marked alike."""
    values = [row.figures[column.key] for row in rows if column.key in row.figures]
    return column.show(max(values) if column.more_is_better else min(values)) if len(values) > 1 else None


def _ranking(column: Column) -> str:
    """Ranking of a column's figure, with whether the network was refitted."""
    return column.key.partition("_")[2]


def comparison_table(rows: Sequence[ComparisonRow], title: str | None = None) -> Table:
    """Table for an 80-character terminal, one network per column, the best figures bold.

    Parameters
    ----------
    rows
        Networks to compare.
    title
        Title above the table.
    """
    table = Table(title=title, title_justify="left", title_style="bold")
    table.add_column("test set")
    for row in rows:
        table.add_column(row.name, justify="right")
    columns = _shown(rows)
    for index, column in enumerate(columns):
        best = _best(rows, column)
        cells = [Text(row.text(column), style="bold" if row.text(column) == best else "") for row in rows]
        ends = index + 1 < len(columns) and _ranking(column) != _ranking(columns[index + 1])
        table.add_row(column.title, *cells, end_section=ends and column.more_is_better)
    return table


def comparison_csv(rows: Sequence[ComparisonRow]) -> str:
    """CSV with all digits, one network per line, columns named by the figures' keys."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    columns = _shown(rows)
    writer.writerow(["network", *(column.key for column in columns)])
    for row in rows:
        writer.writerow([row.name, *(row.figures.get(column.key, "") for column in columns)])
    return stream.getvalue()


def comparison_markdown(rows: Sequence[ComparisonRow]) -> str:
    """Markdown table, one network per line, the best figures bold.

    Examples
    --------
    >>> rows = [ComparisonRow("a", {"parameters": 900}), ComparisonRow("b", {"parameters": 1200})]
    >>> print(comparison_markdown(rows))
    | network | parameters |
    |---|---:|
    | a | **900** |
    | b | 1,200 |
    """
    columns = _shown(rows)
    best = {column.key: _best(rows, column) for column in columns}

    def cell(row: ComparisonRow, column: Column) -> str:
        text = row.text(column)
        return f"**{text}**" if text == best[column.key] else text

    cells = [[row.name, *(cell(row, column) for column in columns)] for row in rows]
    return markdown_table(["network", *(column.title for column in columns)], cells)
