"""``easrec table regret``: exported architectures beside a table's front."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from easrec_nni.cli import toolkit
from easrec_nni.cli.table_comparison import print_comparison


def table_regret_command(
    file: Annotated[Path, typer.Argument(help="Table of `easrec table build`.")],
    searches: Annotated[
        list[str],
        typer.Argument(
            metavar="[LABEL=]FOLDER...",
            help="Folders of finished searches, of any strategy, or a searches.csv of this command.",
        ),
    ],
    control: Annotated[
        str, typer.Option(metavar="LABEL", help="Strategy that the others are compared with.")
    ] = "random",
    cost: Annotated[
        str | None, typer.Option(metavar="KIND", help="Kind of cost; the table's first by default.")
    ] = None,
    by: Annotated[
        str | None, typer.Option(metavar="FIGURE", help="Figure; by default the selecting metric on test.")
    ] = None,
    budget: Annotated[
        float | None,
        typer.Option(
            metavar="PERCENT",
            help="Cost in % of the unpruned network's to keep to; by default each search's own.",
            min=0.01,
        ),
    ] = None,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder for CSV files and plot.")] = Path("table-regret"),
) -> None:
    """Measure the regret of exported architectures: their distance to the table's front.

    The regret is the share of the figure that the architecture misses of the best one of at most its cost; both are
    means over the table's seeds. Of a search with a budget it is also measured from the best one within the budget.
    Strategies are compared with the control, seed by seed, by a paired t-test with Holm's correction. The label of a
    folder such as easrec/seed3 is easrec. A searches.csv stands for its searches, so that more are added to earlier
    ones, or another table judges them; it may be the one that is written.

    \b
    Examples:
      easrec table regret table.json.gz searches/easrec/seed* searches/random/seed*
      easrec table regret table.json.gz "improved=runs/1" "random=runs/2" --budget 40 --cost nominal
      easrec table regret table.json.gz regret/searches.csv searches/*/seed9 --out regret
    """  # noqa: D301 (the command line's formatter asks for this character)
    table = toolkit.ArchitectureTable.read(file)
    found = [search for source in searches for search in toolkit.read_searches(source, table)]
    share = None if budget is None else budget / 100
    compared = toolkit.write_regret(table, found, out, control=control, kind=cost, figure=by, budget=share)
    name, of = table.check_figure(by or table.tested), table.check_kind(cost)
    for limit, rows in compared.items():
        at = f"at the network's own {of} cost" if limit == toolkit.OWN_COST else "within the search's budget"
        print_comparison(Console(), rows, f"regret in % of {name} {at}", 100)
    print(f"searches.csv, strategies.csv, regret.svg and regret.png are in {out}")
