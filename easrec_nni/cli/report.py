"""``easrec report``: studies as one page, with tables and plots as files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def report_command(
    studies: Annotated[list[Path], typer.Argument(metavar="STUDY...", help="Folders that `easrec reproduce` wrote.")],
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder of the report; `report` in the first study by default.")
    ] = None,
    title: Annotated[str | None, typer.Option(help="Heading; names the datasets by default.")] = None,
) -> None:
    """Write report.html, one page that works offline, and report.md, CSV tables and plots beside it.

    Studies on the same dataset are put together; each other dataset has a part of its own. What is not finished yet is
    counted and left out: the report can be written while a study runs.

    \b
    Examples:
      easrec report studies/ml-100k
      easrec report studies/ml-100k studies/ml-1m --out report --title "EASRec on MovieLens"
    """  # noqa: D301 (the command line's formatter asks for this character)
    from easrec_nni.report import write_report

    print(write_report(studies, out or studies[0] / "report", title))
