"""``easrec table query``: figures and costs from an architecture table."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from easrec_nni.architecture.cost_kinds import COST_FIGURES
from easrec_nni.common.errors import UserError
from easrec_nni.common.readable import counted, printable, readable_count
from easrec_nni.tabular.table import ArchitectureTable, TableEntry

DIGITS = 4


def table_query_command(
    file: Annotated[Path, typer.Argument(help="Table of `easrec table build`.")],
    depth: Annotated[int | None, typer.Option(help="Only architectures with this number of layers.", min=1)] = None,
    hidden_pruning: Annotated[float | None, typer.Option(help="Only with this pruning ratio of d.")] = None,
    inner_pruning: Annotated[float | None, typer.Option(help="Only with this pruning ratio of D.")] = None,
    max_cost: Annotated[
        str | None,
        typer.Option(metavar="COST", help="Only up to this cost: 40% of the unpruned network's, or a number."),
    ] = None,
    cost: Annotated[str | None, typer.Option(metavar="KIND", help=f"Kind of cost: {', '.join(COST_FIGURES)}.")] = None,
    by: Annotated[
        str | None, typer.Option(metavar="FIGURE", help="Order; by default the validation metric that selected epochs.")
    ] = None,
    front: Annotated[
        bool, typer.Option("--front", help="Only architectures that no other beats in cost and figure.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON with every figure of every seed.")] = False,
) -> None:
    """Print figures and costs of a table's architectures, best first.

    Figures are means over the seeds, ± their standard deviation. A star marks architectures that no other of the whole
    table beats in cost and figure.

    \b
    Examples:
      easrec table query table.json.gz
      easrec table query table.json.gz --depth 1 --hidden-pruning 0.5 --inner-pruning 0
      easrec table query table.json.gz --max-cost 40% --cost nominal
      easrec table query table.json.gz --front --by test_ndcg@10_full --json
    """  # noqa: D301 (the command line's formatter asks for this character)
    table = ArchitectureTable.read(file)
    figure, kind = table.check_figure(by), table.check_kind(cost)
    options = {"depth": depth, "hidden_pruning": hidden_pruning, "inner_pruning": inner_pruning}
    entries = table.select(**{name: value for name, value in options.items() if value is not None})
    if max_cost is not None:
        affordable = table.within(max_cost, kind)
        entries = [entry for entry in entries if entry in affordable]
    best = table.front(kind, figure)
    if front:
        entries = [entry for entry in entries if entry in best]
    if not entries:
        cheapest = min(table.entries, key=lambda entry: table.cost(entry, kind))
        raise UserError(
            f"no architecture of the table meets these conditions; the cheapest is {cheapest}, {kind} cost "
            f"{table.cost(cheapest, kind):g}"
        )
    entries.sort(key=lambda entry: -entry.mean(figure))
    if as_json:
        print(json.dumps([_record(entry) for entry in entries], indent=2))
        return
    console = Console()
    for line in _header(table):
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    console.print(_drawn(table, entries, best, figure, kind))


def _record(entry: TableEntry) -> dict[str, Any]:
    return {
        **entry.choice.model_dump(),
        "cost": dict(entry.costs),
        "runs": {seed: dict(entry.runs[seed]) for seed in entry.runs},
    }


def _header(table: ArchitectureTable) -> list[str]:
    """Lines about the dataset and the noise ceiling."""
    document, ceiling = table.document, table.document.noise.get(table.document.select_by)
    dataset, all_ = printable(document.dataset.title), len(table.space.architectures())
    lines = [
        f"{dataset}: {len(table.entries)} of {counted(all_, 'architecture')}, {counted(len(document.runs), 'run')}"
    ]
    lines.append(f"valid, test: {document.select_by}, mean over the seeds ± standard deviation")
    if ceiling is not None:
        pairs = {
            "two halves of the seeds, valid": ceiling.valid_halves,
            "test": ceiling.test_halves,
            "valid with test": ceiling.valid_test,
        }
        known = [f"{name} {pair.kendall:.2f}" for name, pair in pairs.items() if pair and pair.kendall is not None]
        lines.append("noise ceiling (Kendall's tau): " + ", ".join(known))
    return lines


def _drawn(
    table: ArchitectureTable, entries: Sequence[TableEntry], front: Sequence[TableEntry], figure: str, kind: str
) -> Table:
    drawn = Table(box=None, pad_edge=False, header_style="bright_black")
    drawn.add_column("architecture", no_wrap=True)
    figures = {table.selecting: "valid", table.tested: "test"}
    figures |= {} if figure in figures else {figure: figure}
    kinds = list(dict.fromkeys([kind, "parameters"])) if "parameters" in table.cost_kinds else [kind]
    for name in ("depth", *kinds, *figures.values()):
        drawn.add_column(name, justify="right", no_wrap=True)
    for entry in entries:
        drawn.add_row(
            f"{entry.choice.label}{' ★' if entry in front else ''}",
            str(entry.choice.depth),
            *(readable_count(table.cost(entry, each)) for each in kinds),
            *(_spread(entry, each) for each in figures),
        )
    return drawn


def _spread(entry: TableEntry, figure: str) -> str:
    """Mean of a figure over the seeds, and its standard deviation."""
    deviation = entry.deviation(figure)
    numbers = [f"{entry.mean(figure):.{DIGITS}f}"] + ([] if deviation is None else [f"{deviation:.{DIGITS}f}"])
    return " ± ".join(number.removeprefix("0") for number in numbers)
