"""Validation of NNI search spaces, and representative values of what a tuner can draw.

NNI accepts every search space, and its tuner dies silently of an invalid one. Here each entry is validated first.
"""

from __future__ import annotations

import json
import math
import reprlib
from collections.abc import Callable
from typing import Any

from easrec_nni.common.errors import UserError

__all__ = ["TYPES", "check_search_space", "representative_values"]

TYPES: dict[str, tuple[str, ...]] = {
    "choice": (),
    "randint": ("low", "high"),
    "uniform": ("low", "high"),
    "quniform": ("low", "high", "q"),
    "loguniform": ("low", "high"),
    "qloguniform": ("low", "high", "q"),
    "normal": ("mean", "deviation"),
    "qnormal": ("mean", "deviation", "q"),
    "lognormal": ("mean", "deviation"),
    "qlognormal": ("mean", "deviation", "q"),
}
"""Types of NNI's tuners, and names of the numbers of each."""

EXAMPLES = {0: "[0.1, 0.5]", 2: "[0.1, 0.5]", 3: "[0.1, 0.5, 0.1]"}
DEVIATIONS = 3.0  # standard deviations that contain 99.7 % of a normal distribution


def check_search_space(space: Any) -> None:
    """Check every entry of a search space, including those of nested choices.

    Raises
    ------
    UserError
        An entry is invalid; the message has its name, the problem and its fix.

    Examples
    --------
    >>> check_search_space({"lambda": {"_type": "uniform", "_value": [0.1, 0.5]}})
    >>> check_search_space({"lambda": {"_type": "uniform", "_value": [0.5, 0.1]}})
    Traceback (most recent call last):
    easrec_nni.common.errors.UserError: searchSpace, lambda: low is 0.5 and high is 0.1: write `_value: [0.1, 0.5]`
    """
    if not isinstance(space, dict):
        raise UserError(f"searchSpace must be a mapping of names to entries, such as `lambda: {_example('choice')}`")
    for name, entry in space.items():
        if not isinstance(name, str):
            raise UserError(f"searchSpace: the name {_quote(name)} is not a string: put it in quotes")
        try:
            _check_entry(entry)
        except _InvalidEntry as error:
            raise UserError(f"searchSpace, {name}{error}") from None


class _InvalidEntry(Exception):
    """Problem of an entry, preceded by its path within nested choices."""


def _check_entry(entry: Any) -> None:
    if not isinstance(entry, dict):
        raise _InvalidEntry(f" is {_quote(entry)}, which has no _type: write `{_example('choice')}`")
    unknown = [key for key in entry if key not in ("_type", "_value")]
    if unknown:
        raise _InvalidEntry(f": unknown key {_quote(unknown[0])}; an entry has only _type and _value")
    kind = entry.get("_type")
    if kind is None:
        raise _InvalidEntry(
            f": there is no _type; write `{_example('choice')}` for values to choose from, or `_type: uniform`"
        )
    if not isinstance(kind, str) or kind not in TYPES:
        raise _InvalidEntry(f": NNI has no _type {_quote(kind)}; it has {', '.join(TYPES)}")
    values = entry.get("_value")
    if not isinstance(values, list):
        raise _InvalidEntry(f": _value must be a list, not {_quote(values)}: write `{_example(kind)}`")
    (_check_choice if kind == "choice" else _check_numbers)(kind, values)


def _check_choice(kind: str, values: list[Any]) -> None:
    if not values:
        raise _InvalidEntry(": _value is empty, there is nothing to choose from")
    named = [isinstance(value, dict) and "_name" in value for value in values]
    if any(named) and not all(named):
        raise _InvalidEntry(": every value of a nested choice needs a _name, or none of them")
    seen = set()
    for value in values:
        written = _identity(value["_name"] if all(named) else value)
        if written in seen:
            what = f"the _name {_quote(value['_name'])}" if all(named) else _quote(value)
            raise _InvalidEntry(f": {what} is listed twice, and would be tried twice: leave one out")
        seen.add(written)
        for name, entry in value.items() if all(named) else ():
            if name == "_name":
                continue
            try:
                _check_entry(entry)
            except _InvalidEntry as error:
                raise _InvalidEntry(f", {value['_name']}, {name}{error}") from None


def _identity(value: Any) -> str:
    """Canonical text of a JSON value, equal for values that a trial cannot distinguish."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    try:
        if number and not _is_inexact(value):
            return repr(float(value))  # 1 and 1.0 are the same value
        return json.dumps(value, sort_keys=True, allow_nan=False)
    except (ValueError, TypeError):
        raise _InvalidEntry(f": {_quote(value)} is not a finite number, text or list, as JSON requires") from None


def _is_inexact(value: float) -> bool:
    """Whether a number is infinite, NaN, or beyond the exact integers of a float."""
    return not abs(value) < 2**53


def _check_numbers(kind: str, values: list[Any]) -> None:
    names = TYPES[kind]
    if len(values) != len(names):
        raise _InvalidEntry(f": {kind} needs {len(names)} numbers, [{', '.join(names)}], not {len(values)}")
    for name, value in zip(names, values, strict=True):
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise _InvalidEntry(f": {name} must be a number, not {_quote(value)}{_number_hint(value)}")
        if _is_inexact(value):
            raise _InvalidEntry(f": {name} is {_quote(value)}; {kind} needs a finite number")
    _check_range(kind, values)


def _check_range(kind: str, values: list[Any]) -> None:
    first, second = values[:2]
    if kind == "randint" and not all(isinstance(value, int) for value in values):
        raise _InvalidEntry(f": randint needs integers, not {_quote(values)}; high is exclusive")
    if "normal" in kind:
        if second <= 0:
            raise _InvalidEntry(f": the deviation of {kind} is {second} and must be above 0")
    elif first >= second:
        write = f"write `_value: {_quote([second, first, *values[2:]])}`" if first > second else "use a choice of one"
        raise _InvalidEntry(f": low is {first} and high is {second}: {write}")
    elif "log" in kind and first <= 0:
        raise _InvalidEntry(f": {kind} takes the logarithm of low, which is {first} and must be above 0")
    if kind.startswith("q") and values[2] <= 0:
        raise _InvalidEntry(f": q, the step, is {values[2]} and must be above 0")
    if "log" in kind and "normal" in kind and abs(first) + DEVIATIONS * second > 100:
        raise _InvalidEntry(f": {kind} takes mean and deviation of the logarithm, and these give values beyond e^100")


def _number_hint(value: Any) -> str:
    """Hint for numbers that YAML reads as text, such as ``1e-3``, which needs a decimal point."""
    try:
        number = float(value) if isinstance(value, str) else math.nan
    except ValueError:
        return ""
    return f": YAML reads it as text, write {number!r}" if math.isfinite(number) else ""


def _example(kind: str) -> str:
    return (
        f"{{_type: {kind}, _value: {EXAMPLES[len(TYPES[kind])]}}}"
        if kind != "randint"
        else ("{_type: randint, _value: [1, 5]}")
    )


def _quote(value: Any) -> str:
    """A value in YAML's flow style, shortened."""
    try:
        text = json.dumps(value, ensure_ascii=False)
    except (TypeError, ValueError):
        text = reprlib.repr(value)
    return text if len(text) <= 80 else f"{text[:80]}…"


def representative_values(entry: dict[str, Any]) -> list[Any]:
    """Representative values of a valid entry of a search space.

    For a choice: all values, with each entry of a nested one at its first value. For a range: both ends and a value in
    between. For a normal distribution: three standard deviations to either side of the mean and a value in between.

    Examples
    --------
    >>> representative_values({"_type": "randint", "_value": [1, 4]})
    [1, 2, 3]
    >>> representative_values({"_type": "quniform", "_value": [0.6, 3, 0.5]})
    [0.6, 1.0, 3.0]
    """
    kind, values = entry["_type"], entry["_value"]
    if kind == "choice":
        return [_first_of_nested(value) for value in values]
    if kind == "randint":
        return sorted({values[0], (values[0] + values[1]) // 2, values[1] - 1})
    low, high = values[:2]
    if "normal" in kind:
        low, high = low - DEVIATIONS * high, low + DEVIATIONS * high
    back: Callable[[float], float] = math.exp if "log" in kind else float
    if kind in ("loguniform", "qloguniform"):
        low, high = math.log(low), math.log(high)
    # A point between the ends that is not an integer, even if the ends are.
    drawn = [back(low), back(low + 0.4142 * (high - low)), back(high)]
    if kind in ("loguniform", "qloguniform"):
        drawn[0], drawn[2] = float(values[0]), float(values[1])
    if not kind.startswith("q"):
        return drawn
    step = values[2]
    first = round(drawn[0] / step)
    rounded = [first * step, (first + 1) * step, round(drawn[2] / step) * step]
    if "normal" not in kind:
        rounded = [min(max(value, values[0]), values[1]) for value in rounded]
    return sorted({float(value) for value in rounded})


def _first_of_nested(value: Any) -> Any:
    if not isinstance(value, dict) or "_name" not in value:
        return value
    return {name: entry if name == "_name" else representative_values(entry)[0] for name, entry in value.items()}
