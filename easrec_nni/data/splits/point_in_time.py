"""Split at a point in time: interactions before it train, those after it are targets.

Leave-one-out takes each user's last interactions, whenever these were, so that a network trains on other users' later
interactions: later popularity leaks. A point in time is the same for all users, as for a service, and nothing later is
known of any user. The choices made here, beside those of others:

* All that a user had between a part's point and its end are targets, each item once (RecTools' ``TimeRangeSplitter``).
  All have one history: what the user had before the point. Targets that are asked for one after the other, with the
  earlier ones in the history (RecBole's ``TO``; "successive" in Gusak et al., RecSys 2025), would let later
  interactions into a history, and the first or last target alone would leave most of the period out.
* Validation is a period of its own right before test, so that both are the same task at another time (ibid.).
* Users without history before the point and items that no user had before it are left out and counted, as by RecTools
  (``filter_cold_users``, ``filter_cold_items``). Items that a user had already stay; ``unseen`` leaves them out.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from easrec_nni.common.errors import UserError
from easrec_nni.data.arrays import places_between
from easrec_nni.data.splits.base import Interactions, Split, Targets, distinct_targets, is_before

__all__ = ["readable_time", "split_time"]

EXAMPLES = "time:90%, time:80%,90%, time:2024-06-01, or time:2024-05-01,2024-06-01T12:00"
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# Units of times since 1970 by the size of the largest: a second of these sizes would be in the year 5138 or later.
UNITS = ((1e11, 1), (1e14, 1_000), (1e17, 1_000_000), (math.inf, 1_000_000_000))


def split_time(argument: str, log: Interactions) -> Split:
    """Split all interactions by one or two points in time.

    Parameters
    ----------
    argument : str
        The point from which on test targets are, after that from which on validation targets are; each a date, a date
        and time (UTC if it does not say), a share of the interactions (``90%`` lie before it), or a number in the
        log's own unit. Without the earlier one, validation has as many interactions as test.
    log : Interactions
        Log to split.

    Returns
    -------
    Split
        The split; interactions exactly at a point in time lie after it.

    Raises
    ------
    UserError
        A point cannot be read or has nothing before or after it.
    """
    words = [word.strip() for word in argument.split(",")]
    if len(words) > 2 or not all(words):
        raise UserError(f"--split time:{argument}: give one point in time or two, such as {EXAMPLES}")
    times = np.asarray(log.times)
    per_second = log.per_second or _per_second(times.max())
    test = _point(words[-1], times, per_second)
    start = (
        _point(words[0], times, per_second)
        if len(words) == 2
        else _quantile(times, 1 - 2 * float(np.mean(times >= test)))
    )
    _check(argument, start, test, times)
    after = np.flatnonzero(times >= start)  # few as a rule, so that no array of int64 is as long as the log
    later = after[times[after] >= test]
    train_end = _ends(log.offsets, after)
    valid_end = _ends(log.offsets, later)
    return Split(
        name=f"time:{','.join(words)}",
        train_end=train_end,
        valid_end=valid_end,
        all_end=log.offsets[1:],
        valid=_targets(log, train_end, valid_end),
        test=_targets(log, valid_end, log.offsets[1:]),
        resolved=f"time:{start},{test}",
        has_points=True,
    )


def _point(word: str, times: NDArray[Any], per_second: int) -> Any:
    """Parse a point in time into the log's unit."""
    try:
        if word.endswith("%"):
            share = float(word[:-1]) / 100
            if 0 < share < 1:
                return _quantile(times, share)
        elif _is_number(word):
            return float(word) if times.dtype.kind == "f" else int(word)
        else:
            date = datetime.fromisoformat(word)
            microseconds = ((date if date.tzinfo else date.replace(tzinfo=UTC)) - EPOCH) // timedelta(microseconds=1)
            moment = microseconds * per_second
            return moment / 1_000_000 if times.dtype.kind == "f" else -(-moment // 1_000_000)
    except (ValueError, OverflowError):
        pass
    raise UserError(f"--split time: {word!r} is neither a date nor a share between 0 and 100 %: such as {EXAMPLES}")


def _is_number(word: str) -> bool:
    """Whether a word is a number; so is a date without hyphens, ``20240601``, as in some logs."""
    try:
        return math.isfinite(float(word))
    except ValueError:
        return False


def _quantile(times: NDArray[Any], share: float) -> Any:
    """Largest time of an interaction with at most a share of the interactions before it."""
    rank = min(max(math.floor(share * len(times) + 1e-9), 0), len(times) - 1)
    return np.partition(times, rank)[rank].item()


def _per_second(largest: float) -> int:
    """Units of a log's times in a second, by the largest time."""
    return next(factor for bound, factor in UNITS if largest < bound)


def readable_time(moment: float) -> str:
    """Format a time in UTC; a number that cannot be a date stays a number.

    Examples
    --------
    >>> readable_time(882826944), readable_time(882826944000), readable_time(13)
    ('1997-12-22 21:42:24 UTC', '1997-12-22 21:42:24 UTC', '13')
    """
    seconds = moment / _per_second(moment)
    if not 1e8 < seconds < 1e11:  # 1973 to 5138; smaller numbers count something
        return str(int(moment)) if float(moment).is_integer() else str(moment)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S} UTC"


def _check(argument: str, start: float, test: float, times: NDArray[Any]) -> None:
    first, last = times.min().item(), times.max().item()
    span = f"the log runs from {readable_time(first)} to {readable_time(last)}"
    cuts = f"validation from {readable_time(start)}, test from {readable_time(test)}"
    if not start < test:
        raise UserError(
            f"--split time:{argument}: no time is left for validation ({cuts}; {span}): give the earlier point first, "
            "or points further apart"
        )
    if not first < start or test > last:
        raise UserError(
            f"--split time:{argument}: nothing is left to train on or to test by ({cuts}; {span}): give points within "
            "the log, such as time:80%,90%"
        )


def _ends(offsets: NDArray[np.int64], after: NDArray[np.int64]) -> NDArray[np.int64]:
    """Place at which each user's interactions cross a point, ``[n_users]``.

    `after` has the places of all interactions after the point.
    """
    users = np.searchsorted(offsets, after, side="right") - 1
    return offsets[1:] - np.bincount(users, minlength=len(offsets) - 1)


def _targets(log: Interactions, begins: NDArray[np.int64], ends: NDArray[np.int64]) -> Targets:
    """Targets of a part: each user's interactions from ``begins`` to ``ends`` (exclusive).

    Both are ``[n_users]``. W interactions are in the part.
    """
    items = np.asarray(log.items)
    is_known = np.zeros(int(items.max(initial=0)) + 1, dtype=bool)
    is_known[items[is_before(begins, log.offsets)]] = True  # [n_items + 1]
    unknown = np.flatnonzero(~is_known[1:]) + 1
    users, places = np.repeat(np.arange(len(begins)), ends - begins), places_between(begins, ends)  # [W], [W]
    is_cold = (begins == log.offsets[:-1])[users]  # [W]: the user has no history
    of_cold_items = ~is_cold & ~is_known[items[places]]  # [W]
    new_items = np.unique(items[places][~is_known[items[places]]])
    is_target = ~is_cold & ~of_cold_items
    rows, targets, repeats = distinct_targets(items, users[is_target], places[is_target])
    return Targets(
        users=rows,
        places=targets,
        history_ends=begins[rows],
        excluded_ends=ends[rows],
        unknown_items=unknown,
        cold_users=len(np.unique(users[is_cold])),
        cold_user_interactions=int(is_cold.sum()),
        cold_items=len(new_items),
        cold_item_interactions=int(of_cold_items.sum()),
        repeats=repeats,
    )
