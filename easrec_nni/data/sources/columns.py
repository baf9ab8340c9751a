"""Columns of users, items, times and ratings, by the settings or by common names."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from easrec_nni.common.errors import UserError
from easrec_nni.data.manifest import PrepareSettings

__all__ = ["Columns", "choose_columns", "looks_like_data"]

_GUESSES = {
    "user": "userid user uid username reviewerid customerid visitorid accountid sessionid session",
    "item": "itemid item iid movieid productid asin parentasin articleid bookid businessid songid trackid videoid "
    "locationid poiid venueid aid",
    "time": "timestamp time datetime date ts unixreviewtime unixtimestamp eventtime createdat tdat",
    "rating": "rating ratings stars star score overall",
}
"""Names of columns, in lower case and without blanks, dashes, dots and underscores."""
_EVENTS = (
    "event eventtype eventstype eventname action actiontype behavior behaviour behaviortype behaviourtype "
    "interactiontype"
)
_CLOCKS, _DAYS = ("time", "clock", "hour", "timeofday"), ("date", "day")
_COMMENTS = ("#", "%", "//")
_VALUE = re.compile(r"[+-]?\d+([.,:/ T-]\d+)*Z?")


@dataclass(frozen=True)
class Columns:
    """Columns of a table by role.

    Attributes
    ----------
    places : dict of str to int
        For "user", "item", "time" (unless the order of the rows is the time), "clock" (a time of day beside a date)
        and "rating" (where it is needed): the place of the column.
    why : dict of str to str
        Reason for the choice of each.
    notes : tuple of str
        Notes on other columns that may have been meant.
    """

    places: dict[str, int]
    why: dict[str, str]
    notes: tuple[str, ...] = ()

    @classmethod
    def of_format(cls, **places: int) -> Columns:
        """Columns at fixed places, which the format of the file gives."""
        return cls(places, dict.fromkeys(places, "the format of the file"))


def choose_columns(
    names: Sequence[str], settings: PrepareSettings, label: str, short_names: Mapping[int, str] | None = None
) -> Columns:
    """Find the columns of users, items, times and, where they are needed, ratings.

    Parameters
    ----------
    names : sequence of str
        Columns of the table.
    settings : PrepareSettings
        Names that the user gave; for the others, common names are tried, such as user_id, userId, user.id or User ID.
    label : str
        Name of the table in messages.
    short_names : mapping of int to str or None
        Further names of columns by place, tried after `names`, such as ts for events.ts.

    Returns
    -------
    Columns
        Places of the columns.

    Raises
    ------
    UserError
        If a column is not there, and the message lists those that are; or if several have its name, user and
        item are one column, or the settings name a time where the order of the rows shall be it.
    """
    requested = {
        "user": settings.user_column,
        "item": settings.item_column,
        "time": settings.time_column,
        "clock": settings.clock_column,
        "rating": settings.rating_column,
    }
    listing = ", ".join(repr(name) for name in names[:30]) + (", ..." if len(names) > 30 else "")
    if settings.order_is_time and (settings.time_column or settings.clock_column):
        raise UserError("--order-is-time and a time column exclude each other: give one of them")
    plain = [_plain(name) for name in names]
    short = {place: _plain(name) for place, name in (short_names or {}).items()}
    columns = Columns({}, {})
    notes = []
    for role, name in requested.items():
        if (role == "rating" and settings.min_rating is None) or (role == "time" and settings.order_is_time):
            continue
        if name is not None:
            if name not in names:
                raise UserError(f"{label} has no column {name!r} (--{role}-column): its columns are {listing}")
            columns.places[role], columns.why[role] = names.index(name), f"--{role}-column"
        elif role == "clock":
            _find_clock(plain, settings, columns)
        else:
            guesses = _GUESSES[role].split()
            hits = [place for guess in guesses for place, name in enumerate(plain) if name == guess]
            hits = hits or [place for guess in guesses for place, name in short.items() if name == guess]
            if not hits:
                raise UserError(_not_found(names, role, label, listing))
            columns.places[role], columns.why[role] = hits[0], "a common name"
            chosen, *others = (names[place] for place in hits)
            others = [name for name in others if name != chosen]  # equal names are refused below
            if others and role in ("user", "item", "time"):
                notes.append(
                    f"{chosen} is taken for the {role}; {' or '.join(others)} could be it too: --{role}-column decides"
                )
    _check_chosen(names, columns.places, label)
    if settings.where is None:
        kinds = (place for place, name in enumerate(plain) if name in _EVENTS.split())
        notes += [_event_note(names[place]) for place in kinds if place not in columns.places.values()]
    return Columns(columns.places, columns.why, tuple(notes))


def _plain(name: str) -> str:
    """Name in lower case, without blanks, dashes, dots and underscores."""
    return re.sub(r"[\s_.-]", "", name.lower())


def _event_note(name: str) -> str:
    example = ""
    if re.fullmatch(r"[\w .-]+", name):
        written = name if name.isidentifier() else f'\\"{name}\\"'  # quoted for SQL within the shell's quotes
        example = f", as in --where \"{written} = 'purchase'\""
    return f"{name} may be the kind of an event: all kinds count alike, --where keeps one{example}"


def _check_chosen(names: Sequence[str], places: dict[str, int], label: str) -> None:
    """Refuse a chosen column whose name others have, and one column for users and items."""
    for name in (names[place] for place in places.values()):
        if (twins := names.count(name)) > 1:
            raise UserError(f"{label} has {twins} columns named {name!r}: give all but one of them another name")
    if places["user"] == places["item"]:
        raise UserError(
            f"{label}: column {names[places['user']]!r} is both user and item: name another with --user-column or "
            "--item-column"
        )


def _find_clock(plain: Sequence[str], settings: PrepareSettings, columns: Columns) -> None:
    """Pair a time of day with the date beside it; reading checks that the values are such."""
    clock = next((name for name in _CLOCKS if name in plain), None)
    day = next((name for name in _DAYS if name in plain), None)
    if settings.time_column is None and "time" in columns.places and clock is not None and day is not None:
        if plain[columns.places["time"]] in (clock, day):
            columns.places.update(time=plain.index(clock), date=plain.index(day))


def _not_found(names: Sequence[str], role: str, label: str, listing: str) -> str:
    message = f"{label}: which column is the {role}? "
    if len(names) == 1 and names[0].startswith(_COMMENTS):
        return message + f"The first line, {names[0][:60]!r}, is a comment, not a header: delete it"
    if names[0].lower() == "sep=":
        return message + "The first line is a note for Excel (sep=), not a header: delete it"
    if len(names) == 1 and len(names[0].split()) > 1:
        message += f"The whole line is one column, {names[0][:60]!r}: pass --delimiter, such as --delimiter ' '"
        if looks_like_data(names[0].split()):
            message += ", --no-header if the first line is no header, and --order-is-time if there is no time"
        return message
    message += f"Name it with --{role}-column, there are {listing}"
    return message + ("; or pass --order-is-time if the rows are in the order of time" if role == "time" else "")


def looks_like_data(names: Sequence[str]) -> bool:
    """Whether a header has a number or a date among its names, and no common name."""
    common_names = {guess for guesses in _GUESSES.values() for guess in guesses.split()}
    return any(_VALUE.fullmatch(name) for name in names) and not any(name.lower() in common_names for name in names)
