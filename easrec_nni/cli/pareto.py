"""``easrec pareto``: front of accuracy and cost of an elastic supernet."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from easrec_nni.architecture.cost_kinds import COST_FIGURES
from easrec_nni.cli import toolkit
from easrec_nni.cli.logs import begin_training_command
from easrec_nni.common.errors import UserError
from easrec_nni.common.run_files import ARCHITECTURE_FILE
from easrec_nni.searching.front import Front, find_front, find_supernet, read_front
from easrec_nni.searching.picking import cost_figure, readable_cost, with_latency

COST_HELP = f"{', '.join(COST_FIGURES)}; executed by default."


def pareto_command(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a search: elastic, or any one-shot one.")],
    cost: Annotated[str | None, typer.Option(metavar="KIND", help=COST_HELP)] = None,
    latency: Annotated[
        Path | None, typer.Option(metavar="FILE", help="File of `easrec profile`, which predicts --cost latency.")
    ] = None,
    table: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Table of `easrec table build`: rank correlation with it (Kendall's tau)."),
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="List dominated architectures too.")] = False,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="Folder for front.csv, front.svg and front.png.")
    ] = None,
    evaluate: Annotated[
        bool, typer.Option("--evaluate", help="Evaluate the supernet (again) and write the search's front.json.")
    ] = False,
    data: Annotated[
        str | None, typer.Option("--data", help="--evaluate: prepared dataset; the search's by default.")
    ] = None,
    limit: Annotated[
        int | None, typer.Option("--architectures", metavar="N", min=2, help="--evaluate: largest number of them.")
    ] = None,
    threads: Annotated[int | None, typer.Option(help="--evaluate: threads; all cores by default.", min=1)] = None,
) -> None:
    """List and draw the architectures of a supernet that no other beats in accuracy and cost.

    Accuracy is that of the selection users with the supernet's weights, without any further training, as an elastic
    search wrote it to front.json; of any other one-shot search it is measured by --evaluate. `easrec pick` takes one of
    them.

    \b
    Examples:
      easrec pareto run
      easrec pareto run --cost parameters --all
      easrec pareto run --out front
      easrec pareto run --latency laptop.json
      easrec pareto run --table table.json.gz
      easrec pareto run --evaluate --threads 1
    """  # noqa: D301 (the command line's formatter asks for this character)
    folder = find_supernet(run) if evaluate else find_front(run)
    if evaluate:
        progress = begin_training_command(threads)
        front = toolkit.evaluate_again(folder, data, limit, progress)
    elif data is not None or limit is not None:
        raise UserError("--data and --architectures belong to --evaluate")
    else:
        front = read_front(folder)
    if latency is not None:
        space = toolkit.Architecture.read(folder / ARCHITECTURE_FILE).space
        front = with_latency(front, toolkit.LatencyFile.read(latency, space), space)
        cost = cost or "latency"
    key = cost_figure(front, cost)
    lines = [] if table is None else toolkit.agreement(front, toolkit.ArchitectureTable.read(table)).lines()
    _show(front, key, every)
    for line in lines:
        print(line)
    if out is not None:
        files = toolkit.write_front_files(front, key, out)
        print(f"{', '.join(file.name for file in files)} are in {out}")


def _show(front: Front, key: str, every: bool) -> None:
    records = toolkit.front_records(front, key)
    cost = next(kind for kind, name in COST_FIGURES.items() if name == key)
    table = Table(box=None, header_style="bold")
    table.add_column("architecture", no_wrap=True)
    for title in (front.figure, "share", cost, "share"):
        table.add_column(title, justify="right", no_wrap=True)
    if every:
        table.add_column("front", no_wrap=True)
    for record in records:
        if every or record["pareto"]:
            table.add_row(
                str(record["architecture"]),
                f"{record[front.figure]:.4f}",
                f"{record['share_of_accuracy']:.1%}",
                readable_cost(key, float(record[key] or 0)),
                f"{record['share_of_cost']:.1%}",
                *(["yes" if record["pareto"] else ""] if every else []),
            )
    Console(highlight=False).print(table)
    total = len(front.architectures)
    which = f"all {total}" if total == front.of else f"{total} of {front.of}, drawn at random,"
    print(
        f"{which} architectures evaluated with inherited weights on {front.users} validation users of {front.dataset}"
    )
