"""Encoding of a checked log: numbered interactions in user-then-time order."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import DTypeLike, NDArray

from easrec_nni.common.errors import UserError
from easrec_nni.data.arrays import ArrayWriter, counts, places_between
from easrec_nni.data.engine import Engine
from easrec_nni.data.filters import duplicate_rows, immediate_repeats, k_core
from easrec_nni.data.ids import IdTable
from easrec_nni.data.manifest import PrepareSettings
from easrec_nni.data.reading import CheckedLog
from easrec_nni.data.reporting import Reporter
from easrec_nni.data.summary import LogSummary, Order, summarize

_ROWS_AT_ONCE = 1 << 22


@dataclass(frozen=True)
class EncodedLog:
    """Numbered interactions as a dataset folder stores them.

    For the arrays see `easrec_nni.data.dataset.Dataset`.

    Attributes
    ----------
    items, offsets, times : ndarray
        As in `Dataset`; mapped from the engine's folder.
    user_ids, item_ids : IdTable
        As in `Dataset`.
    dropped : dict of str to int
        Count of what was left out, by reason.
    summary : LogSummary
        Summary of how the log was understood.
    per_second : int or None
        Units of the times in a second; None where times are plain numbers.
    """

    items: NDArray[np.int32]
    offsets: NDArray[np.int64]
    times: NDArray[np.generic]
    user_ids: IdTable
    item_ids: IdTable
    dropped: dict[str, int]
    summary: LogSummary
    per_second: int | None


@dataclass(frozen=True)
class EncodedFeature:
    """Values of an item feature for all items, row 0 (padding) being empty.

    Attributes
    ----------
    offsets : ndarray of int64, shape [n_items + 2]
        The values of item number i are those from ``offsets[i]`` up to ``offsets[i + 1]`` (exclusive).
    values : ndarray of int32, shape [values of all items]
        Value numbers, 1 or more, ascending and distinct within an item.
    vocabulary : list of str
        Text of each value number; entry 0 is padding.
    unused_items : int
        Items that have values but no interactions.
    """

    offsets: NDArray[np.int64]
    values: NDArray[np.int32]
    vocabulary: list[str]
    unused_items: int


def encode_log(engine: Engine, log: CheckedLog, settings: PrepareSettings, reporter: Reporter) -> EncodedLog:
    """Number users and items, sort the interactions, and filter what depends on their order.

    Users are numbered from 0 and items from 1, in the order in which they first appear in what is left. The sort by
    user and time is stable: interactions of a user at the same time keep the order of the file, or turn it round if the
    settings say so. Exact duplicates go first, then immediate repeats, then what is outside the k-core.

    Parameters
    ----------
    engine : Engine
        Engine that has the view ``log``.
    log : CheckedLog
        The log as read.
    settings : PrepareSettings
        Settings that decide what to filter.
    reporter : Reporter
        Receives the steps.

    Returns
    -------
    EncodedLog
        The interactions that are left, and what was dropped.

    Raises
    ------
    UserError
        If nothing is left.
    """
    dropped = dict(log.dropped)
    for role in ("user", "item"):
        engine.run(
            f'CREATE TABLE {role}s AS SELECT "{role}", (row_number() OVER (ORDER BY first) - 1)::INTEGER AS number '
            f'FROM (SELECT "{role}", min(row) AS first FROM log GROUP BY "{role}")',
            f"numbering {role}s",
        )
    order = Order()
    sorted_log = _sorted_log(engine, settings, order, dropped)
    core = _core(sorted_log, settings, dropped)
    if not core.any():
        reasons = ", ".join(f"{count} {reason}" for reason, count in dropped.items())
        raise UserError(f"no interaction is left ({reasons}): lower the thresholds")
    users, items = (
        IdTable.of_batches(
            [""] * (role == "item"),
            (
                batch.column(0)
                for batch in engine.batches(f'SELECT CAST("{role}" AS VARCHAR) FROM {role}s ORDER BY number')
            ),
        )
        for role in ("user", "item")
    )
    if not core.all() or settings.collapse_repeats:
        sorted_log, users, items = _renumbered(engine.folder, sorted_log, core, users, items)
    offsets = _offsets(sorted_log.users, len(users))
    summary = summarize(engine, log, order, sorted_log.times, np.diff(offsets), dropped, settings.newest_first)
    return EncodedLog(sorted_log.items, offsets, sorted_log.times, users, items, dropped, summary, log.unit.per_second)


@dataclass(frozen=True)
class _SortedLog:
    """Interactions by user, time and row of the file; users are numbered from 0, items from 1."""

    users: NDArray[np.int32]
    items: NDArray[np.int32]
    times: NDArray[np.generic]
    rows: NDArray[np.int64]


def _sorted_log(engine: Engine, settings: PrepareSettings, order: Order, dropped: dict[str, int]) -> _SortedLog:
    """Sort the log into arrays on disk, without duplicates and (if asked) immediate repeats."""
    kind = np.int64 if engine.columns("log")["time"] == "BIGINT" else np.float64
    writers = _writers(engine.folder, "sorted", kind)
    repeat_counts = {
        "rows that repeat user, item and time of another": 0,
        "interactions that repeat the item right before": 0,
    }
    filters = (
        (settings.drop_duplicates, lambda users, items, times, rows: _repeated(users, items, times)),
        (settings.collapse_repeats, lambda users, items, times, rows: immediate_repeats(users, items)),
    )
    for columns in _whole_users(engine, settings.newest_first):
        for reason, (enabled, find) in zip(repeat_counts, filters, strict=True):
            repeated = find(*columns) if enabled else np.zeros(0, dtype=bool)
            if repeated.any():
                repeat_counts[reason] += int(np.count_nonzero(repeated))
                columns = [column[~repeated] for column in columns]
        order.look_at(*columns)
        for writer, column in zip(writers, columns, strict=True):
            writer.append(column)
    dropped |= {reason: count for reason, count in repeat_counts.items() if count}
    return _SortedLog(*(writer.close() for writer in writers))  # type: ignore[arg-type]


def _repeated(users: NDArray[Any], items: NDArray[Any], times: NDArray[Any]) -> NDArray[np.bool_]:
    """Mask of a sorted part's duplicates, which lie among neighbours at equal times."""
    tie = (users[1:] == users[:-1]) & (times[1:] == times[:-1])
    tied = np.flatnonzero(np.concatenate([tie, [False]]) | np.concatenate([[False], tie]))
    repeated = np.zeros(len(users), dtype=bool)
    repeated[tied] = duplicate_rows(users[tied], items[tied], times[tied])
    return repeated


def _whole_users(engine: Engine, newest_first: bool) -> Iterator[list[NDArray[Any]]]:
    """Columns of the sorted log, in parts that do not cut a user's history.

    The columns are user, item (from 1), time and row.
    """
    query = (
        "SELECT users.number, items.number + 1, log.time, log.row FROM log "
        'JOIN users ON log."user" = users."user" JOIN items ON log."item" = items."item" '
        f"ORDER BY 1, 3, 4 {'DESC' if newest_first else 'ASC'}"
    )
    waiting: list[list[NDArray[Any]]] = []
    for batch in engine.batches(query, "sorting"):
        columns = [column.to_numpy() for column in batch.columns]
        last = int(np.searchsorted(columns[0], columns[0][-1]))
        waiting.append([column[:last] for column in columns])
        if last:
            yield [np.concatenate(parts) for parts in zip(*waiting, strict=True)]
            waiting = []
        waiting.append([column[last:] for column in columns])
    if waiting:
        yield [np.concatenate(parts) for parts in zip(*waiting, strict=True)]


def encode_feature(table: pd.DataFrame, item_ids: IdTable) -> EncodedFeature:
    """Number an item feature's values and arrange them by item.

    Parameters
    ----------
    table : DataFrame
        Columns ``item`` and ``value``, as in `RawLog`; repeated values of an item count once.
    item_ids : IdTable
        Ids by item number, entry 0 being padding.

    Returns
    -------
    EncodedFeature
        Only values that some item with interactions has are in the vocabulary, in alphabetical order.
    """
    numbers = pd.Index(item_ids[1:]).get_indexer(pd.Index(table["item"])) + 1
    is_used = numbers > 0
    codes, vocabulary = pd.factorize(table["value"][is_used], sort=True)
    width = len(vocabulary) + 1
    pairs = np.unique(numbers[is_used] * width + codes + 1)  # item and value in one number
    counts = np.bincount(pairs // width, minlength=len(item_ids)) if len(pairs) else np.zeros(len(item_ids), np.int64)
    return EncodedFeature(
        offsets=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        values=(pairs % width).astype(np.int32),
        vocabulary=["", *map(str, vocabulary)],
        unused_items=int(table["item"][~is_used].nunique()),
    )


def _core(log: _SortedLog, settings: PrepareSettings, dropped: dict[str, int]) -> NDArray[np.bool_]:
    """Find the interactions in the k-core, and count the others in `dropped`."""
    min_user, min_item = settings.min_user_interactions, settings.min_item_interactions
    if min_user == 1 and min_item == 1:
        return np.ones(len(log.users), dtype=bool)
    core = k_core(log.users, log.items, min_user, min_item)
    if not core.all():
        dropped[f"interactions outside the {min_user}/{min_item} user/item core"] = int(np.count_nonzero(~core))
    for what, numbers in (("users", log.users), ("items", log.items)):
        size = int(numbers.max(initial=0)) + 1
        before, after = (np.count_nonzero(counts(codes, size)) for codes in (numbers, numbers[core]))
        n_dropped = int(before - after)
        if n_dropped:
            dropped[f"{what} outside the {min_user}/{min_item} user/item core"] = n_dropped
    return core


def _writers(folder: Path, name: str, kind: DTypeLike) -> list[ArrayWriter]:
    """Array files for users, items, times and rows."""
    kinds = {"users": np.int32, "items": np.int32, "times": kind, "rows": np.int64}
    return [ArrayWriter(folder / f"{name}-{column}.npy", dtype) for column, dtype in kinds.items()]


def _offsets(users: NDArray[np.int32], size: int) -> NDArray[np.int64]:
    """Offsets of each user's interactions in an array sorted by user, ``[size + 1]``."""
    return np.searchsorted(users, np.arange(size + 1, dtype=np.int32)).astype(np.int64)


def _renumbered(
    folder: Path, log: _SortedLog, core: NDArray[np.bool_], user_ids: IdTable, item_ids: IdTable
) -> tuple[_SortedLog, IdTable, IdTable]:
    """Renumber users and items by the first row left of each, and reorder users to match."""
    user_order = _first_seen(log.users, log.rows, core, len(user_ids))
    item_order = _first_seen(log.items, log.rows, core, len(item_ids))
    numbers = np.zeros(len(item_ids), dtype=np.int32)
    numbers[item_order] = np.arange(1, len(item_order) + 1)
    offsets = _offsets(log.users, len(user_ids))
    begins, lengths = offsets[user_order], np.diff(offsets)[user_order]
    cuts = np.flatnonzero(np.diff(np.cumsum(lengths) // _ROWS_AT_ONCE, prepend=0))
    writers = _writers(folder, "numbered", log.times.dtype)
    for users in np.split(np.arange(len(user_order)), cuts):
        places = places_between(begins[users], begins[users] + lengths[users])
        left = core[places]
        places, owners = places[left], np.repeat(users, lengths[users])[left]
        parts: tuple[NDArray[Any], ...] = (owners, numbers[log.items[places]], log.times[places], log.rows[places])
        for writer, part in zip(writers, parts, strict=True):
            writer.append(part)
    ordered = _SortedLog(*(writer.close() for writer in writers))  # type: ignore[arg-type]
    return ordered, user_ids.take(user_order), item_ids.take(np.concatenate([[0], item_order]))


def _first_seen(
    numbers: NDArray[np.int32], rows: NDArray[np.int64], core: NDArray[np.bool_], size: int
) -> NDArray[np.int64]:
    """Numbers that are left, in the order of the rows in which they first occur."""
    never = np.iinfo(np.int64).max
    first = np.full(size, never)
    for start in range(0, len(numbers), _ROWS_AT_ONCE):
        part = slice(start, start + _ROWS_AT_ONCE)
        np.minimum.at(first, numbers[part][core[part]], rows[part][core[part]])
    return np.argsort(first, kind="stable")[: np.count_nonzero(first != never)]
