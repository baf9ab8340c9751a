"""What a report consists of, whatever it is written as: chapters of paragraphs, tables, pictures and listings.

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
    "show_p",
    "signed",
]

Record = dict[str, float | int | str | bool | None]
"""A row with all digits, as it is written as CSV."""

MISSING = "–"


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Attributes
    ----------
    key
        Its figure in the records.
    title
        Its heading.
    group
        Heading over several columns.
    more_is_better
        Which end is best, None where neither is.
    published
        Whether it repeats figures of the paper.
    """

    key: str
    title: str
    group: str = ""
    more_is_better: bool | None = None
    published: bool = False


@dataclass(frozen=True)
class Entry:
    """A cell of a table: its text, what follows it smaller, and how it is marked."""

    text: str
    value: float | None = None
    spread: str = ""
    best: bool = False
    star: bool = False


@dataclass(frozen=True)
class Row:
    """A row of a table: its name, the part of the table it is in, and its entries by the columns' keys."""

    name: str
    entries: Mapping[str, Entry]
    group: str = ""
    hint: str = ""


@dataclass(frozen=True)
class Table:
    """A table; ``first`` is the heading of the rows' names, ``notes`` stand below it.

    Published figures come from another copy of the data, and are ranked as :data:`PUBLISHED_PROTOCOL` says. So a table
    that has some shows our accuracy by that ranking only, and marks nothing as the best or as better.

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
    """Plain text; ``strong`` for a warning that must be seen."""

    text: str
    strong: bool = False


@dataclass(frozen=True)
class Listing:
    """Text as it is, such as settings, folded away."""

    title: str
    text: str


Block = Paragraph | Table | Picture | Listing


@dataclass(frozen=True)
class Chapter:
    """A part of the report with a line in the table of contents."""

    key: str
    title: str
    blocks: Sequence[Block]


def number_entry(record: Record, key: str, show: Callable[[float], str]) -> Entry:
    """A figure without spread."""
    value = record.get(key)
    if isinstance(value, bool) or not isinstance(value, float | int):
        return Entry(MISSING)
    return Entry(show(float(value)), float(value))


def mean_entry(record: Record, key: str, show: Callable[[float], str]) -> Entry:
    """A mean with its standard deviation over seeds and its star, from ``key``, ``key_sd`` and ``key_star``."""
    entry = number_entry(record, key, show)
    sd = record.get(f"{key}_sd")
    # What is not drawn at random has no spread: ± 0 would only be noise for the eye.
    spread = f"± {show(sd)}" if isinstance(sd, float) and sd > 0 and entry.value is not None else ""
    return replace(entry, spread=spread, star=record.get(f"{key}_star") is True)


def signed(value: float) -> str:
    """A difference with its sign.

    Examples
    --------
    >>> signed(0.0041), signed(-0.0007)
    ('+0.0041', '−0.0007')
    """
    return f"{value:+.4f}".replace("-", "−")


def show_p(p: float) -> str:
    """A p-value, short.

    Examples
    --------
    >>> show_p(0.00001), show_p(0.0432), show_p(1.0)
    ('< 0.001', '0.043', '1.0')
    """
    return "< 0.001" if p < 0.001 else f"{p:.3f}" if p < 0.1 else f"{p:.1f}"


def mark_best(columns: Sequence[Column], rows: Sequence[Row]) -> list[Row]:
    """The same rows, the best entries of each column marked; entries that look alike are marked alike."""
    best: dict[str, str] = {}
    for column in columns:
        entries = [row.entries[column.key] for row in rows if column.key in row.entries]
        known = [entry for entry in entries if entry.value is not None]
        if column.more_is_better is not None and len(known) > 1:
            choose = max if column.more_is_better else min
            best[column.key] = choose(known, key=lambda entry: entry.value or 0.0).text
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
