"""User expressions over a log's columns, checked against an allow-list before they run."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

import duckdb

from easrec_nni.common.errors import UserError

__all__ = ["check_expression"]

_OPERATORS = "+ - * / // % || ~~ !~~ ~~* !~~* like_escape not_like_escape ilike_escape not_ilike_escape"
_TEXTS = (
    "lower upper trim ltrim rtrim length strlen contains starts_with ends_with prefix suffix substr substring left "
    "right replace concat regexp_matches regexp_full_match"
)
_NUMBERS = "abs round floor ceil ceiling sign mod greatest least isnan isinf isfinite"
_DATES = "year month day hour minute second dayofweek isodow dayname monthname date_trunc date_part epoch strptime"
FUNCTIONS = frozenset(f"{_OPERATORS} {_TEXTS} {_NUMBERS} {_DATES} coalesce ifnull nullif".split())
"""Functions that an expression may call: none of them reads anything but its arguments."""

TYPES = frozenset("bigint boolean date double float integer int int4 int8 text timestamp timestamptz varchar".split())
"""Types that an expression may turn values into."""

_CLASSES = {"COLUMN_REF", "CONSTANT", "COMPARISON", "CONJUNCTION", "OPERATOR", "BETWEEN", "CASE", "CAST"}
_CLASSES |= {"FUNCTION", "TYPE"}
_EMPTY_PARTS = ("modifiers", "where_clause", "group_expressions", "having", "qualify", "sample")


def check_expression(expression: str, names: Sequence[str]) -> dict[str, int]:
    """Refuse everything but an expression over columns, and find its columns.

    The expression is parsed, and not run, by an engine of its own that has no tables, no files, no network and no
    extensions; its syntax tree may have columns, constants, comparisons, arithmetic and the functions of `FUNCTIONS`.

    Parameters
    ----------
    expression : str
        Expression that the user wrote, such as ``event = 'purchase' and price > 0``.
    names : sequence of str
        Columns of the log.

    Returns
    -------
    dict of str to int
        Each column as the expression writes it, and its place in `names`.

    Raises
    ------
    UserError
        If it is something else, or has a column that the log does not have.
    """
    places: dict[str, int] = {}
    for node in _nodes(_tree(expression)):
        problem = _problem(node)
        if problem is not None:
            raise UserError(f"--where {expression[:80]!r}: {problem}")
        if node["class"] == "COLUMN_REF":
            place = _place(node["column_names"], names, expression)
            if place not in places.values():  # names differ by upper and lower case to the user alone
                places[str(node["column_names"][-1])] = place
    return places


def _problem(node: dict[str, Any]) -> str | None:
    """Reason why a node may not be part of a condition; None if it may."""
    kind = node["class"]
    if kind not in _CLASSES:
        return f"{kind.lower()} is not allowed, only an expression over columns"
    if kind == "FUNCTION" and not _is_allowed(node):
        allowed = " ".join(sorted(name for name in FUNCTIONS if name[0].isalpha() and not name.endswith("_escape")))
        return f"the function {str(node['function_name'])[:40]!r} is not allowed, these are: {allowed}"
    if kind == "TYPE" and not _is_type(node):
        return f"types may be {' '.join(sorted(TYPES))}"
    return None


def _tree(expression: str) -> Any:
    """Syntax tree of an expression, which must be all that a SELECT has."""
    config: dict[str, Any] = {
        "enable_external_access": "false",
        "autoload_known_extensions": "false",
        "autoinstall_known_extensions": "false",
        "allow_community_extensions": "false",
        "lock_configuration": "true",
    }
    with duckdb.connect(":memory:", config=config) as connection:
        try:
            row = connection.execute("SELECT json_serialize_sql(?)", [f"SELECT ({expression}\n)"]).fetchone()
            parsed = json.loads(row[0]) if row is not None else {}
        except (duckdb.Error, ValueError, UnicodeError, RecursionError) as error:
            raise UserError(f"--where {expression[:80]!r} cannot be parsed: {str(error)[:200]}") from error
    if not expression.strip():
        raise UserError("--where is empty: pass a condition such as price > 0")
    if parsed.get("error"):
        message = str(parsed.get("error_message", ""))[:200]
        raise UserError(f"--where {expression[:80]!r} is not an expression: {message}")
    statements = parsed["statements"]
    node = statements[0]["node"]
    is_single = (
        len(statements) == 1
        and node["type"] == "SELECT_NODE"
        and len(node["select_list"]) == 1
        and node["select_list"][0]["alias"] == ""
        and node["from_table"]["type"] == "EMPTY"
        and not node["cte_map"]["map"]
        and not any(node.get(part) for part in _EMPTY_PARTS)
    )
    if not is_single:
        raise UserError(f"--where {expression[:80]!r} is more than one expression over columns: leave out the rest")
    return node["select_list"][0]


def _nodes(tree: Any) -> Iterator[dict[str, Any]]:
    """All expressions in a syntax tree, at any depth."""
    waiting = [tree]
    while waiting:
        part = waiting.pop()
        if isinstance(part, dict):
            if "class" in part:
                yield part
            elif "node" in part:  # a statement in an expression
                yield {"class": "SUBQUERY"}
            waiting.extend(part.values())
        elif isinstance(part, list):
            waiting.extend(part)


def _is_allowed(node: dict[str, Any]) -> bool:
    plain = not (node.get("schema") or node.get("catalog") or node.get("filter") or node.get("distinct"))
    return plain and node["function_name"] in FUNCTIONS


def _is_type(node: dict[str, Any]) -> bool:
    plain = not (node.get("schema") or node.get("catalog") or node.get("children"))
    return plain and str(node.get("type_name")).lower() in TYPES


def _place(path: Sequence[str], names: Sequence[str], expression: str) -> int:
    alike = [place for place, name in enumerate(names) if len(path) == 1 and name.lower() == path[0].lower()]
    if len(alike) == 1:
        return alike[0]
    listing = ", ".join(map(repr, names[:30])) + (", ..." if len(names) > 30 else "")
    raise UserError(
        f"--where {expression[:80]!r}: there is {'no' if not alike else 'more than one'} column "
        f"{'.'.join(path)[:60]!r}, the columns are {listing}; "
        "texts stand in single quotes, names with blanks or dots in double ones"
    )
