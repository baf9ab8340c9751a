"""``easrec systems``: list of the systems for comparison."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from easrec_nni.study.systems import GROUPS, SYSTEMS


def systems_command() -> None:
    """List every system that `easrec reproduce` can run, with its source.

    \b
    Example:
      easrec systems
    """  # noqa: D301 (the command line's formatter asks for this character)
    table = Table(box=None, pad_edge=False, header_style="bright_black")
    for title in ("name", "system", "source"):
        table.add_column(title)
    for group in GROUPS:
        table.add_row(f"[bold cyan]{group}[/]")
        for system in SYSTEMS.values():
            if system.group == group:
                table.add_row(f"  {system.name}", system.title, system.source)
    Console().print(table)
