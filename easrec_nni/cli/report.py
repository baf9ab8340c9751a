"""``easrec report``: studies and experiments as one page, with tables and plots as files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from easrec_nni.cli import toolkit


def report_command(
    sources: Annotated[
        list[str],
        typer.Argument(metavar="STUDY|ID|FILE...", help="Studies' folders, experiments' ids, files of results."),
    ],
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Folder of the report; by default `report` in a study, `report-ID` else."),
    ] = None,
    title: Annotated[str | None, typer.Option(help="Heading; names the datasets or experiments by default.")] = None,
) -> None:
    """Write report.html, one page that works offline, and report.md, CSV tables and plots beside it.

    A study is a folder that `easrec reproduce` wrote; studies on the same dataset are put together. An experiment is
    one of NNI's, running, stopped or finished, or a file that `nnictl experiment export` or the web UI wrote of it.
    What is not finished yet is counted and left out: the report can be written while trials run.

    \b
    Examples:
      easrec report studies/ml-100k
      easrec report hx3kq8ay
      easrec report results.json --out report
      easrec report studies/ml-100k studies/ml-1m --out report --title "EASRec on MovieLens"
    """  # noqa: D301 (the command line's formatter asks for this character)
    first = Path(sources[0])
    folder = out or (first / "report" if first.is_dir() else Path(f"report-{first.stem}"))
    print(toolkit.write_report(sources, folder, title))
