"""Regrets of strategies as a table in the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from easrec_nni.common.readable import printable

if TYPE_CHECKING:
    from easrec_nni.tabular.comparing import Comparison

__all__ = ["print_comparison"]


def print_comparison(console: Console, compared: Sequence[Comparison], title: str, factor: float) -> None:
    """Print mean regrets and their tests against the control.

    Parameters
    ----------
    console
        Where to print.
    compared
        Comparisons of the strategies.
    title
        What the regret is, with its unit.
    factor
        Factor from the stored regret to the unit: 100 for percent.
    """
    console.print(title, markup=False, highlight=False, soft_wrap=True)
    table = Table(box=None, pad_edge=False, header_style="bright_black")
    table.add_column("strategy", no_wrap=True)
    for name in ("seeds", "regret", "95 %", "minus control", "p (Holm)"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("verdict", no_wrap=True)
    for row in compared:
        interval = f"{factor * row.interval.low:.3g} to {factor * row.interval.high:.3g}" if row.interval else ""
        difference = f"{factor * row.test.difference:+.3g}" if row.test else ""
        p_value = f"{row.p_holm:.3g}" if row.p_holm is not None else ""
        mean = f"{factor * row.mean:.3g}"
        table.add_row(printable(row.label), str(row.seeds), mean, interval, difference, p_value, row.verdict)
    console.print(table)
