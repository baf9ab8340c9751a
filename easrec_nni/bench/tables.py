"""Markdown table of a measurement's figures."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from easrec_nni.common.markdown import markdown_table
from easrec_nni.common.readable import readable_count

__all__ = ["format_figure", "figures_table"]

Figures = dict[str, Any]


def figures_table(figures: Figures) -> list[str]:
    """Lines of a Markdown table with a row for each figure."""
    return markdown_table(["figure", "value"], _flat(figures)).splitlines()


def _flat(figures: Figures, prefix: str = "") -> Iterator[tuple[str, str]]:
    for name, value in figures.items():
        label = f"{prefix}{name}"
        if _is_spread(value):
            yield label, format_figure(value)
        elif isinstance(value, dict):
            yield from _flat(value, f"{label}, ")
        elif isinstance(value, list) and value and isinstance(value[0], dict):
            yield from ((f"{label}, {_row_name(row)}", _row_value(row)) for row in value)
        elif isinstance(value, list):
            yield label, ", ".join(map(str, value))
        else:
            yield label, format_figure(value)


def _row_name(row: Figures) -> str:
    name, value = next(iter(row.items()))
    return f"`{value}`" if isinstance(value, str) else f"{name} {format_figure(value)}"


def _row_value(row: Figures) -> str:
    rest = list(row.items())[1:]
    return ", ".join(
        f"{100 * value:.1f} %" if name == "share" else f"{name} {format_figure(value)}" for name, value in rest
    )


def _is_spread(value: Any) -> bool:
    return isinstance(value, dict) and set(value) == {"median", "min", "max"}


def format_figure(value: Any) -> str:
    """Human-readable figure; for a spread, the median with the range in brackets."""
    if value is None:
        return "–"
    if _is_spread(value):
        return f"{format_figure(value['median'])} ({format_figure(value['min'])} to {format_figure(value['max'])})"
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    if isinstance(value, int) or abs(value) >= 10_000:
        return readable_count(value)
    return f"{value:.4g}"
