"""Tables of our figures with the published ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from easrec_nni.report.content import Column, Entry, Record, Row, Table

__all__ = ["beside_published"]


def beside_published(
    title: str,
    records: Sequence[Record],
    columns: Sequence[Column],
    entry: Callable[[Record, str], Entry],
    first: str = "system",
    names: str = "title",
) -> Table | None:
    """Table of the rows with published figures, without marks for best or better.

    Parameters
    ----------
    title
        Title of the table.
    records
        Figures by the columns' keys.
    columns
        Columns of our figures, with a single ranking (:class:`~easrec_nni.report.content.Table`), and of published
        ones.
    entry
        Function that formats a figure of a record.
    first, names
        Heading of the rows' names, and their key in the records.

    Returns
    -------
    Table or None
        None if no row has both a published figure and one of ours.
    """

    def has(record: Record, published: bool) -> bool:
        return any(record.get(column.key) is not None for column in columns if column.published is published)

    shown = [record for record in records if has(record, True)]
    if not any(has(record, False) for record in shown):
        return None
    rows = [
        Row(
            str(record[names]),
            {column.key: replace(entry(record, column.key), best=False, star=False) for column in columns},
            str(record.get("group") or ""),
            str(record["system"]),
        )
        for record in shown
    ]
    return Table(title, columns, rows, first=first)
