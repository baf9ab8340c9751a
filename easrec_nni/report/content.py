"""Content model of a report: chapters of paragraphs, tables, pictures and listings.

HTML and Markdown are two renderings of the same content. To add a chapter: a function that makes a :class:`Chapter`
from a section, called in :mod:`easrec_nni.report.composing`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from easrec_nni.common.figures import Picture
from easrec_nni.report.published import PUBLISHED_PROTOCOL

__all__ = [
    "Block",
    "Chapter",
    "Column",
    "Entry",
    "Listing",
    "Paragraph",
    "Record",
    "Row",
    "Table",
    "mark_best",
    "mean_entry",
    "number_entry",
    "show_accuracy",
    "show_p",
    "signed",
]

Record = dict[str, float | int | str | bool | None]
"""Row of a CSV file, with all digits."""

MISSING = "–"


@dataclass(frozen=True)
class Column:
    """Column of a table.

    Attributes
    ----------
    key
        Key of its figure in the records.
    title
        Heading.
    group
        Heading over several columns.
    more_is_better
        Whether the largest or the smallest figure is best; None for neither.
    published
        Whether the column shows figures of the paper.
    """

    key: str
    title: str
    group: str = ""
    more_is_better: bool | None = None
    published: bool = False


@dataclass(frozen=True)
class Entry:
    """Cell of a table: text, spread in smaller type, and marks."""

    text: str
    value: float | None = None
    spread: str = ""
    best: bool = False
    star: bool = False


@dataclass(frozen=True)
class Row:
    """Row of a table: name, group, and entries by the columns' keys."""

    name: str
    entries: Mapping[str, Entry]
    group: str = ""
    hint: str = ""


@dataclass(frozen=True)
class Table:
    """Table; ``first`` is the heading of the rows' names, ``notes`` are shown below it.

    Published figures come from another copy of the data, with the ranking :data:`PUBLISHED_PROTOCOL`. A table with
    published figures therefore shows our accuracy with that ranking only, and marks nothing as best or better.

    Raises
    ------
    ValueError
        A table with published figures has another ranking of ours, or a mark.
    """

    title: str
    columns: Sequence[Column]
    rows: Sequence[Row]
    first: str = "system"
    notes: Sequence[str] = ()

    def __post_init__(self) -> None:
        if not any(column.published for column in self.columns):
            return
        ours = [column.key for column in self.columns if not column.published and "@" in column.key]
        others = [key for key in ours if not key.endswith(f"_{PUBLISHED_PROTOCOL}")]
        if others:
            raise ValueError(f"published figures stand beside {PUBLISHED_PROTOCOL} alone, not beside {others[0]}")
        if any(entry.best or entry.star for row in self.rows for entry in row.entries.values()):
            raise ValueError("nothing is marked in a table with published figures, which are of other data")


@dataclass(frozen=True)
class Paragraph:
    """Plain text; ``strong`` for a warning."""

    text: str
    strong: bool = False


@dataclass(frozen=True)
class Listing:
    """Verbatim text, such as settings, collapsed by default."""

    title: str
    text: str


Block = Paragraph | Table | Picture | Listing


@dataclass(frozen=True)
class Chapter:
    """Chapter of the report, with an entry in the table of contents."""

    key: str
    title: str
    blocks: Sequence[Block]


def number_entry(record: Record, key: str, show: Callable[[float], str]) -> Entry:
    """Entry of a figure without spread."""
    value = record.get(key)
    if isinstance(value, bool) or not isinstance(value, float | int):
        return Entry(MISSING)
    return Entry(show(float(value)), float(value))


def mean_entry(record: Record, key: str, show: Callable[[float], str]) -> Entry:
    """Entry of a mean with standard deviation and star, from ``key``, ``key_sd``, ``key_star``."""
    entry = number_entry(record, key, show)
    sd = record.get(f"{key}_sd")
    # A deterministic figure has no spread: ± 0 would be clutter.
    spread = f"± {show(sd)}" if isinstance(sd, float) and sd > 0 and entry.value is not None else ""
    return replace(entry, spread=spread, star=record.get(f"{key}_star") is True)


def show_accuracy(value: float) -> str:
    """Accuracy with four decimals."""
    return f"{value:.4f}"


def signed(value: float) -> str:
    """Signed difference with a typographic minus.

    Examples
    --------
    >>> signed(0.0041), signed(-0.0007)
    ('+0.0041', '−0.0007')
    """
    return f"{value:+.4f}".replace("-", "−")


def show_p(p: float) -> str:
    """Short p-value.

    Examples
    --------
    >>> show_p(0.00001), show_p(0.0432), show_p(1.0)
    ('< 0.001', '0.043', '1.0')
    """
    return "< 0.001" if p < 0.001 else f"{p:.3f}" if p < 0.1 else f"{p:.1f}"


def mark_best(columns: Sequence[Column], rows: Sequence[Row]) -> list[Row]:
    """Rows with the best entries of each column marked; equal texts are marked alike."""
    best: dict[str, str] = {}
    for column in columns:
        entries = [row.entries[column.key] for row in rows if column.key in row.entries]
        measured = [entry for entry in entries if entry.value is not None]
        if column.more_is_better is not None and len(measured) > 1:
            extreme = max if column.more_is_better else min
            best[column.key] = extreme(measured, key=lambda entry: entry.value or 0.0).text
    return [
        replace(
            row,
            entries={
                key: replace(entry, best=entry.value is not None and entry.text == best.get(key))
                for key, entry in row.entries.items()
            },
        )
        for row in rows
    ]
