"""``easrec table collect``: table of a build's complete runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from easrec_nni.cli import toolkit
from easrec_nni.common.errors import UserError


def table_collect_command(
    folder: Annotated[Path, typer.Argument(help="Folder of `easrec table build`.")],
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
    """Write the table of a build's complete runs.

    The file is JSON with a line for each architecture and run, compressed if its name ends in .gz. Its header states
    the noise ceiling: the rank correlations of two halves of the seeds, and of validation with test.

    \b
    Examples:
      easrec table collect runs/table --out benchmarks/results/table-beauty.json.gz
      easrec table collect runs/table --latency laptop.json --out table-laptop.json.gz
    """  # noqa: D301 (the command line's formatter asks for this character)
    file = out or folder / "table.json.gz"
    build = toolkit.BuildFolder.read(folder)
    device = None
    if latency is not None:
        device = toolkit.LatencyFile.read(latency, build.settings.space_for(build.dataset.n_items))
    table = toolkit.collect(build, file, _dataset(build), device)
    print(f"{file}: {len(table.runs)} runs of {len(table.architectures)} architectures")


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
