"""``easrec reproduce``: the paper's tables on a dataset."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from easrec_nni.cli import toolkit
from easrec_nni.settings.assignments import read_assignments


def reproduce_command(
    tables: Annotated[
        list[str],
        typer.Argument(metavar="TABLE...", help="table3, table4, table5, ablations, gates, warmup, fig4, second-tier."),
    ],
    dataset: Annotated[str, typer.Option(metavar="NAME", help="Prepared dataset, by name or path.")],
    systems: Annotated[
        str | None, typer.Option(metavar="A,B", help="Systems instead of the table's; `easrec systems` lists them.")
    ] = None,
    seeds: Annotated[
        int | None, typer.Option(help="Number of seeds; 5 by default, 3 for fig4 and warmup.", min=1)
    ] = None,
    budget: Annotated[
        str, typer.Option(metavar="NAME", help="smoke, small, settings (the file's epochs), paper.")
    ] = "settings",
    settings: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Settings shared by all systems; an example by default.")
    ] = None,
    set_: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Replace a shared setting; can be repeated.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder of the study; studies/NAME by default.")
    ] = None,
    jobs: Annotated[int | None, typer.Option(help="Concurrent cells; one per core by default.", min=1)] = None,
    port: Annotated[int, typer.Option(help="Port of the web UI, or the next free one.", min=1, max=65535)] = 8080,
    measure: Annotated[bool, typer.Option(help="Measure efficiency at the end.")] = True,
    report: Annotated[bool, typer.Option(help="Write the report at the end.")] = True,
) -> None:
    """Reproduce the paper's tables: each cell (system and seed) is a trial of an NNI experiment.

    Completed cells are reused: the same command resumes an interrupted study, and a second table on the same dataset
    shares the first one's cells. All systems get the same split, negatives, epochs, early stopping and batch size, and
    one hyper-parameter setting each.

    \b
    Examples:
      easrec reproduce table3 --dataset ml-100k --seeds 5 --budget small
      easrec reproduce table3 table5 fig4 --dataset ml-100k --budget small --out studies/ml-100k
      easrec reproduce table3 --dataset shop --settings shop.yml --systems easrec,sasrec,popularity
      easrec reproduce table3 --dataset ml-100k --set retrain.refit=true    # can be added to complete cells
    """  # noqa: D301 (the command line's formatter asks for this character)
    names = [name.strip() for name in (systems or "").split(",") if name.strip()]
    request = toolkit.Request(
        tables,
        dataset,
        names,
        seeds,
        budget,
        settings,
        read_assignments(set_),
        out,
        jobs,
        port,
        measure,
        toolkit.write_report if report else None,
    )
    if not toolkit.reproduce(request, Console()):
        raise typer.Exit(1)
