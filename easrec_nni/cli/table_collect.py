"""``easrec table collect``: table of the complete runs of builds."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from easrec_nni.cli import toolkit
from easrec_nni.common.errors import UserError


def table_collect_command(
    sources: Annotated[
        list[Path], typer.Argument(metavar="SOURCE...", help="Folders of `easrec table build`, or tables.")
    ],
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="File of the table; FOLDER/table.json.gz by default.")
    ] = None,
    latency: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="File of `easrec profile`, which predicts the latency of every architecture."
        ),
    ] = None,
) -> None:
    """Write the table of the complete runs of builds and tables.

    The file is JSON with a line for each architecture and run, compressed if its name ends in .gz. Its header states
    the noise ceiling: the rank correlations of two halves of the seeds, and of validation with test. Builds and tables
    of other data, settings or spaces are refused.

    \b
    Examples:
      easrec table collect runs/table --out benchmarks/results/table-beauty.json.gz
      easrec table collect runs/table --latency laptop.json --out table-laptop.json.gz
      easrec table collect table.json runs/on-another-machine --out table.json
    """  # noqa: D301 (the command line's formatter asks for this character)
    if out is None and (len(sources) > 1 or not sources[0].is_dir()):
        raise UserError("give the file of the table: --out FILE")
    file = out or sources[0] / "table.json.gz"
    tables = {str(source): _table(source) for source in sources}
    table = toolkit.merge_tables(tables) if len(tables) > 1 else next(iter(tables.values()))
    if left_out := _costs(*tables.values()) - _costs(table):
        print(f"left out, since not every table has them: {', '.join(sorted(left_out))}")
    if latency is not None:
        table = toolkit.with_latency(table, toolkit.LatencyFile.read(latency, table.space))
    toolkit.write_table(table, file)
    print(f"{file}: {len(table.runs)} runs of {len(table.architectures)} architectures")


def _costs(*tables: toolkit.TableDocument) -> set[str]:
    return {name for table in tables for row in table.architectures for name in row.cost}


def _table(source: Path) -> toolkit.TableDocument:
    if not source.is_dir():
        return toolkit.read_table(source)
    build = toolkit.BuildFolder.read(source)
    return toolkit.build_table(build, _dataset(build))


def _dataset(build: toolkit.BuildFolder) -> toolkit.Dataset | None:
    """Dataset of a build, if this machine has it."""
    try:
        dataset = toolkit.load_dataset(build.settings.data)
    except UserError as error:
        print(f"the costs are those that the runs recorded: {error.message}")
        return None
    if dataset.fingerprint != build.dataset.fingerprint:
        raise UserError(f"{dataset.path} is another preparation of {dataset.name} than that of the runs")
    return dataset
