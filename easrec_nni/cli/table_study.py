"""``easrec table study``: multi-trial strategies on a table, without training."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress

from easrec_nni.cli import toolkit
from easrec_nni.cli.table_comparison import print_comparison


def table_study_command(
    file: Annotated[Path, typer.Argument(help="Table of `easrec table build`.")],
    strategies: Annotated[str, typer.Option(metavar="A,B", help="Multi-trial strategies.")] = "random,evolution,tpe",
    seeds: Annotated[int, typer.Option(help="Simulated searches per strategy.", min=1)] = 100,
    trials: Annotated[int, typer.Option(help="Architectures that a search may train.", min=1)] = 30,
    lambda_: Annotated[
        float, typer.Option("--lambda", help="Trade-off between accuracy and cost in the reward.", min=0)
    ] = 0.0,
    cost: Annotated[
        str | None, typer.Option(metavar="KIND", help="Kind of cost; the table's first by default.")
    ] = None,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder for CSV files and plot.")] = Path("table-study"),
) -> None:
    """Study multi-trial strategies on a table: regret over trials, without training.

    Each search draws architectures as `easrec search` does and gets the validation figures of one of the table's seeds.
    Its regret after a number of trials is the reward, by test figures averaged over the seeds, that the best
    architecture so far misses of the space's best. The strategies are compared with random search, seed by seed, by a
    paired t-test with Holm's correction.

    \b
    Examples:
      easrec table study table.json.gz
      easrec table study table.json.gz --strategies random,tpe --seeds 300 --trials 12 --lambda 0.2 --out study
    """  # noqa: D301 (the command line's formatter asks for this character)
    names = toolkit.check_strategies([name.strip() for name in strategies.split(",") if name.strip()])
    evaluator = toolkit.TabularEvaluator(toolkit.ArchitectureTable.read(file), lambda_, cost)
    console = Console()
    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("searches", total=len(names) * seeds)
        studied = toolkit.study_strategies(evaluator, names, seeds, trials, lambda: progress.advance(task))
    compared = toolkit.write_study(evaluator, studied, out, cost)
    print_comparison(console, compared, f"regret in nats of {evaluator.table.tested} after {trials} trials", 1)
    print(f"curves.csv, strategies.csv, curves.svg and curves.png are in {out}")
