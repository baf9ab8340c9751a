"""Summary of how a log was understood, shown before anything is written."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from easrec_nni.common.errors import UserError
from easrec_nni.data.engine import Engine, identifier, quoted
from easrec_nni.data.reading import CheckedLog, is_list
from easrec_nni.data.repeats import MANY_REPEATS, count_repeats, suited_ranking
from easrec_nni.data.splits.leave_one_out import MIN_EVALUATED_LENGTH
from easrec_nni.data.units import TimeUnit

__all__ = ["LogSummary", "Order", "count_of_rows", "summarize"]

_MANY_TIES = 0.01
_MISSING = ("na", "n/a", "#n/a", "nan", "null", "none", "nil", "undefined", "missing", "(null)", "<na>", "-", "?")
"""Words in lower case that also stand for a missing value; of these, `MISSING_WORDS` are taken for one."""
_DAY = 24 * 3600  # seconds
_EARLY = 3 * 365 * _DAY + _DAY  # 1973-01-01 in seconds since 1970


@dataclass
class Order:
    """Counts about the order of interactions, added up over parts of whole histories.

    Attributes
    ----------
    interactions : int
        Interactions that were counted.
    tied : int
        Interactions at a time that another one of the same user has.
    forward, backward : int
        Neighbours in a history at different times, of which the later one lies after, or before, the other in the file.
    repeats : int
        Interactions with an item that the user had before.
    immediate : int
        Interactions with the item that the user had right before.
    """

    interactions: int = 0
    tied: int = 0
    forward: int = 0
    backward: int = 0
    repeats: int = 0
    immediate: int = 0

    def look_at(
        self, users: NDArray[np.int32], items: NDArray[np.int32], times: NDArray[np.generic], rows: NDArray[np.int64]
    ) -> None:
        """Count a part of the sorted log."""
        one_user = users[1:] == users[:-1]
        tie = one_user & (times[1:] == times[:-1])
        tied = np.zeros(len(users), dtype=bool)
        tied[1:] |= tie
        tied[:-1] |= tie
        apart, behind = one_user & ~tie, rows[1:] > rows[:-1]
        self.interactions += len(users)
        self.tied += int(np.count_nonzero(tied))
        self.forward += int(np.count_nonzero(apart & behind))
        self.backward += int(np.count_nonzero(apart & ~behind))
        self.repeats += count_repeats(users, items)
        self.immediate += int(np.count_nonzero(one_user & (items[1:] == items[:-1])))

    @property
    def runs_backward(self) -> bool:
        """Whether histories lie from new to old in the file."""
        return self.backward > 4 * self.forward


@dataclass(frozen=True)
class LogSummary:
    """Summary of a log.

    Attributes
    ----------
    lines : dict of str to str
        A line of text for each heading.
    notes : tuple of str
        Decisions that the user may want to change, with the option for each.
    """

    lines: dict[str, str]
    notes: tuple[str, ...]


def summarize(
    engine: Engine,
    log: CheckedLog,
    order: Order,
    times: NDArray[np.generic],
    lengths: NDArray[np.int64],
    dropped: Mapping[str, int],
    newest_first: bool,
) -> LogSummary:
    """Summarize how a log was understood.

    Parameters
    ----------
    engine : Engine
        Engine that has the relations ``log``, ``users`` and ``items``.
    log : CheckedLog
        The log as read.
    order : Order
        Counts about the order of the interactions.
    times : ndarray, shape [interactions]
        Times that are kept.
    lengths : ndarray of int64, shape [users]
        Interactions of each user that is kept.
    dropped : mapping of str to int
        Count of what was left out, by reason.
    newest_first : bool
        Whether equal times were taken to lie from new to old.

    Returns
    -------
    LogSummary
        Lines and notes to show.

    Raises
    ------
    UserError
        If rows are neither kept nor counted as dropped, which is a bug in this toolkit.
    """
    dropped_rows = count_of_rows(dropped)
    if len(times) + sum(dropped_rows.values()) != log.rows:
        raise UserError(
            f"{len(times)} of {log.rows} rows are kept and {sum(dropped_rows.values())} dropped, "
            "which is not all: report this"
        )
    unit, shares = log.unit, max(order.interactions, 1)
    bounds = times.min().item(), times.max().item()
    first, last = map(unit.shown, bounds)
    few = int(np.count_nonzero(lengths < MIN_EVALUATED_LENGTH))
    reasons = ": " * bool(dropped_rows) + ", ".join(f"{count} {reason}" for reason, count in dropped_rows.items())
    ranking = {"full": "all items (full)", "unseen": "unseen items (unseen)"}[suited_ranking(order.repeats, shares)]
    lines = {
        **log.columns,
        "times": f"{log.time}{f', in {unit.name}' if log.time == 'numbers' else ''}, from {first} to {last}",
        "equal times": f"{order.tied / shares:.1%} of the interactions share user and time with another",
        "rows": f"{log.rows} in the file, {len(times)} kept, {sum(dropped_rows.values())} dropped{reasons}",
        "users": f"{len(lengths)}, of which {few} have fewer than {MIN_EVALUATED_LENGTH} interactions",
        "repeats": f"{order.repeats / shares:.1%} of the interactions are with an item that the user had before, which "
        f"suits a ranking of {ranking}",
        "first rows": "; ".join(f"{user} had {item} at {unit.shown(time)}" for user, item, time in _first(engine)),
    }
    return LogSummary(
        lines, (*log.notes, *_time_notes(times, bounds, unit), *_order_notes(order, newest_first), *_id_notes(engine))
    )


def count_of_rows(dropped: Mapping[str, int]) -> dict[str, int]:
    """Counts of dropped rows, without those of users and items."""
    return {reason: count for reason, count in dropped.items() if reason.startswith(("rows ", "interactions "))}


def _first(engine: Engine) -> list[tuple[str, str, float]]:
    query = 'SELECT CAST("user" AS VARCHAR), CAST("item" AS VARCHAR), "time" FROM log ORDER BY row LIMIT 3'
    return [(user[:40], item[:40], time) for user, item, time in engine.rows(query)]


def _time_notes(times: NDArray[np.generic], bounds: tuple[float, float], unit: TimeUnit) -> list[str]:
    """Notes on times that stand for missing ones, such as 0, -1 or the year 9999, which would decide the order."""
    if unit.per_second is None:
        return []
    first, last = bounds
    early, late = _EARLY * unit.per_second, (time.time() + _DAY) * unit.per_second
    notes = []
    if first < early <= last:
        notes.append(
            f"{np.count_nonzero(np.less(times, early))} times are before 1973, the first {unit.shown(first)}: if these "
            "stand for missing times, --since 1973-01-01 leaves them out"
        )
    if last > late:
        notes.append(
            f"{np.count_nonzero(np.greater(times, late))} times are later than today, the last {unit.shown(last)}: if "
            "these stand for missing times, --until with a date leaves them out"
        )
    return notes


def _order_notes(order: Order, newest_first: bool) -> list[str]:
    notes = []
    if order.tied > _MANY_TIES * order.interactions:
        share = f"{order.tied / order.interactions:.0%} of the interactions are at equal times of one user"
        if order.runs_backward and not newest_first:
            notes.append(
                f"the file runs from new to old and {share}, which keep the order of the file: pass --newest-first to "
                "turn these round"
            )
        elif not newest_first:
            notes.append(f"{share}: these keep the order of the file; --newest-first turns them round")
    if order.immediate > MANY_REPEATS * order.interactions:
        notes.append(
            f"{order.immediate / order.interactions:.0%} of the interactions repeat the item right before: pass "
            "--collapse-repeats to keep one of them, or --where to choose one kind of event"
        )
    return notes


def _id_notes(engine: Engine) -> list[str]:
    notes = []
    for role in ("user", "item"):
        if engine.columns(f"{role}s")[role] != "VARCHAR":
            continue
        as_rounded = f"""regexp_full_match("{role}", '[0-9]([.,][0-9]+)?E[+][0-9]+')"""
        alike, rounded = engine.row(
            f'SELECT count(*) - count(DISTINCT lower(trim("{role}"))), '
            f"""count(*) FILTER (contains("{role}", 'E+') AND {as_rounded}) FROM {role}s"""
        )
        if alike:
            notes.append(
                f"{alike} {role} ids differ from others by blanks or by upper and lower case alone: --normalize-ids "
                "trim or --normalize-ids lower makes them one"
            )
        if rounded:
            notes.append(
                f"{rounded} {role} ids look like numbers that a spreadsheet has rounded (1.23E+15), so that different "
                "ones may have become equal: export the ids as text"
            )
        notes += [*_spelling_notes(engine, role), *_missing_notes(engine, role)]
    return notes


def _spelling_notes(engine: Engine, role: str) -> list[str]:
    """Notes on lists among ids, and on ids in two spellings, such as 12 and 12.0, or in characters that look alike."""
    number = f"""CASE WHEN regexp_full_match("{role}", '[0-9]{{1,15}}([.][0-9]+)?(E[+][0-9]+)?') """
    number += f'THEN TRY_CAST("{role}" AS DOUBLE) END'
    shown = f"""regexp_replace(nfc_normalize("{role}"), '[\\x{{200b}}-\\x{{200f}}\\x{{2060}}\\x{{feff}}]', '', 'g')"""
    plain = f'strlen("{role}") = length("{role}")'
    twins, hidden = engine.row(
        f"SELECT count({number}) - count(DISTINCT {number}), "
        f'count(*) - count(DISTINCT CASE WHEN {plain} THEN "{role}" ELSE {shown} END) FROM {role}s'
    )
    notes = []
    formulas = engine.row(f"""SELECT count(*) FROM {role}s WHERE "{role}" LIKE '="%"'""")[0]
    if formulas:
        notes.append(
            f'{formulas} {role} ids are formulas of a spreadsheet (="001"): export the ids as text, or write them '
            "without the sign and the quotation marks"
        )
    lists, first = engine.row(f'SELECT count(*), min("{role}") FROM {role}s WHERE {is_list(identifier(role))}')
    if lists:
        notes.append(
            f"{lists} {role} ids are lists or objects, such as {first[:60]}, and each is one {role}: write a row for "
            "each of its values if these are the ids"
        )
    if twins:
        notes.append(
            f"{twins} {role} ids are numbers that other ids are too, in another spelling (such as 12 and 12.0, 7 and "
            "007): if they mean the same, write them alike in the log"
        )
    if hidden:
        notes.append(
            f"{hidden} {role} ids look like others, but have invisible characters or another encoding of a letter "
            "(Unicode NFC and NFD): write them alike in the log"
        )
    return notes


def _missing_notes(engine: Engine, role: str) -> list[str]:
    """Notes on ids that often stand for a missing one."""
    words = ", ".join(map(quoted, _MISSING))
    ids = [row[0] for row in engine.rows(f'SELECT "{role}" FROM {role}s WHERE lower(trim("{role}")) IN ({words})')]
    if not ids:
        return []
    condition = f'"{role}" IN ({", ".join(map(quoted, ids))})'
    count = engine.row(f"SELECT count(*) FROM log WHERE {condition}")[0]
    return [
        f"{count} interactions have the {role} id {' or '.join(map(repr, sorted(ids)))}: if it stands for a missing "
        "one, --where with a condition leaves it out"
    ]
