"""Columns of nested tables: fields of objects, and lists whose elements are interactions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from easrec_nni.common.errors import UserError
from easrec_nni.data.manifest import PrepareSettings
from easrec_nni.data.where import check_expression

__all__ = ["NestedColumn", "lists_to_open", "note_on_lists", "short_names"]


class NestedColumn(NamedTuple):
    """Place of a value in a row.

    Attributes
    ----------
    keys : tuple of str
        Keys from the row down to the value, or to the list that it is an element of.
    inner : tuple of str or None
        Keys from an element of the list down to the value; None where there is no list.

    Examples
    --------
    >>> NestedColumn(("user", "id")).name, NestedColumn(("events",), ("aid",)).name
    ('user.id', 'events.aid')
    """

    keys: tuple[str, ...]
    inner: tuple[str, ...] | None = None

    @property
    def name(self) -> str:
        """Name of the column: all keys, joined by dots."""
        return ".".join((*self.keys, *(self.inner or ())))


def short_names(columns: Sequence[NestedColumn]) -> dict[int, str]:
    """Names of fields within the elements of a list, such as ``ts`` for ``events.ts``, by the place of the column."""
    return {place: column.inner[0] for place, column in enumerate(columns) if column.inner and len(column.inner) == 1}


def lists_to_open(
    columns: Sequence[NestedColumn], places: Mapping[str, int], settings: PrepareSettings
) -> tuple[tuple[str, ...], ...]:
    """Keys of the lists whose elements are interactions: those in which a chosen column is.

    A list of user ids stays closed, as an interaction has one user.

    Parameters
    ----------
    columns : sequence of NestedColumn
        Columns of the table.
    places : mapping of str to int
        Chosen column of each role.
    settings : PrepareSettings
        Settings, of which ``where`` is checked.

    Raises
    ------
    UserError
        The condition uses a field of another list, which has several values for an interaction.
    """
    chosen = [columns[place] for role, place in places.items() if role != "user" or columns[place].inner != ()]
    opened = tuple(dict.fromkeys(column.keys for column in chosen if column.inner is not None))
    if settings.where is None or not any(column.inner for column in columns):
        return opened
    for place in check_expression(settings.where, [column.name for column in columns]).values():
        column = columns[place]
        if column.inner and column.keys not in opened:
            raise UserError(
                f"--where {settings.where[:80]!r}: {column.name} has several values for an interaction, as "
                f"{'.'.join(column.keys)} is a list: use other columns"
            )
    return opened


def note_on_lists(lists: Sequence[Sequence[str]]) -> str:
    """Note that each element of the opened lists is an interaction."""
    first, *others = (".".join(keys) for keys in lists)
    if not others:
        return f"{first} is a list: each of its elements is an interaction"
    return f"{first}, {', '.join(others)} are lists: elements at the same place are one interaction"
