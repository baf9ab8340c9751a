"""``easrec table build``: train every architecture of a space from scratch."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from easrec_nni.cli import toolkit
from easrec_nni.cli.logs import begin_training_command
from easrec_nni.common.errors import UserError
from easrec_nni.settings.assignments import read_assignments


def table_build_command(
    dataset: Annotated[str, typer.Argument(help="Prepared dataset, by name or path.")],
    settings: Annotated[Path, typer.Option(metavar="FILE", help="Settings file of a trial, with space and recipe.")],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder of the runs.")],
    seeds: Annotated[int, typer.Option(help="Number of seeds.", min=1)] = 3,
    first_seed: Annotated[int, typer.Option(help="The first seed; the others follow it.", min=0)] = 0,
    known: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="Table whose runs are not trained again; can be repeated."),
    ] = None,
    table: Annotated[
        Path | None, typer.Option(metavar="FILE", help="File of the table; DIR/table.json.gz by default.")
    ] = None,
    set_: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Replace a setting; can be repeated.")
    ] = None,
    limit_minutes: Annotated[
        float | None, typer.Option(metavar="M", help="Stop after this time, at the end of an epoch.", min=0)
    ] = None,
    keep_weights: Annotated[bool, typer.Option("--keep-weights", help="Keep the weights of complete runs.")] = False,
    threads: Annotated[int | None, typer.Option(help="Threads; all cores by default.", min=1)] = None,
    nni: Annotated[bool, typer.Option("--nni", help="Train the runs as trials of an NNI experiment.")] = False,
    jobs: Annotated[
        int | None, typer.Option(help="With --nni: concurrent runs; one per core by default.", min=1)
    ] = None,
    port: Annotated[
        int, typer.Option(help="With --nni: port of the web UI, or the next free one.", min=1, max=65535)
    ] = 8080,
) -> None:
    """Train every architecture of a space from scratch, with several seeds.

    A run trains a compact network with fresh weights by the settings' recipe, in a folder of its own; all architectures
    with the first seed come first, in an order of which every prefix covers the range of costs. The table is written
    after each run. The same command goes on with an interrupted build, in the middle of a run; more --seeds are added
    to a complete one. Several processes may share a build: each run is trained by one of them. Machines that share no
    folder train different seeds, and `easrec table collect` makes one table of their builds. With --known, only the
    runs that an earlier table lacks are trained.

    \b
    Examples:
      easrec table build ml-100k --settings settings.yml --seeds 3 --out runs/table
      easrec table build amazon-beauty --settings benchmarks/settings/table-beauty.yml --out runs/table --threads 1
      easrec table build ml-100k --settings settings.yml --out runs/table --limit-minutes 60
      easrec table build ml-100k --settings settings.yml --first-seed 3 --seeds 2 --out runs/on-another-machine
      easrec table build ml-100k --settings settings.yml --seeds 5 --known table.json --out runs/more-seeds
      easrec table build ml-100k --settings settings.yml --out runs/table --nni --jobs 2
    """  # noqa: D301 (the command line's formatter asks for this character)
    if nni and (limit_minutes is not None or keep_weights or threads is not None or known):
        here = "--limit-minutes, --keep-weights, --threads and --known are for runs in this process"
        raise UserError(f"{here}: leave out --nni")
    if jobs is not None and not nni:
        raise UserError("--jobs needs --nni; without it, start the same command several times: they share the build")
    progress = begin_training_command(threads)
    chosen = toolkit.TrialSettings.read(settings).with_parameters(read_assignments(set_))
    tables = {str(name): toolkit.read_table(name) for name in known or ()}
    build = toolkit.Build.open(dataset, chosen, seeds, out, first_seed=first_seed, known=tables)
    if not build.runs:
        print("nothing to train: the known tables have all runs")
        return
    file = table or out / "table.json.gz"
    if nni:
        console = Console()
        missing = toolkit.run_as_experiment(build, file, jobs=jobs, port=port, console=console, say=print)
    else:
        missing = build.train(file, limit_minutes=limit_minutes, keep_weights=keep_weights, progress=progress)
    complete = len(build.runs) - len(missing)
    print(f"{complete} of {len(build.runs)} runs are complete" + (f"; their table: {file}" if complete else ""))
    if missing:
        raise typer.Exit(1)
