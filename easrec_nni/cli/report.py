"""``easrec report``: report on studies and experiments, with tables and plots."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from easrec_nni.cli import toolkit


def report_command(
    sources: Annotated[
        list[str],
        typer.Argument(metavar="STUDY|ID|FILE...", help="Study folders, experiment ids or results files."),
    ],
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Folder of the report; default: STUDY/report, or report-ID."),
    ] = None,
    title: Annotated[str | None, typer.Option(help="Heading; the datasets or experiments by default.")] = None,
) -> None:
    """Write a report of studies or experiments: HTML, Markdown, CSV tables and plots.

    report.html is one self-contained page. A study is a folder that `easrec reproduce` wrote; studies
    on the same dataset are merged. An experiment is one of NNI's, running, stopped or finished, or a results file that
    `nnictl experiment export` or the web UI wrote. Unfinished trials are counted and left out, so that a report can be
    written while trials run.

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
