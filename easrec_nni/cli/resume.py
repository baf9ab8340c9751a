"""``easrec resume``: go on with an NNI experiment, closed to other machines."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console

from easrec_nni.cli import toolkit


def resume_command(
    experiment: Annotated[str, typer.Argument(metavar="ID", help="Experiment that was stopped or has died.")],
    port: Annotated[int, typer.Option(help="Port of the web UI, or the next free one.", min=1, max=65535)] = 8080,
    expose: Annotated[
        bool,
        typer.Option("--expose", help="Let other machines reach the web UI: it has no password and runs commands."),
    ] = False,
) -> None:
    """Go on with an experiment: nnictl resume, closed to other machines, also after its manager was killed.

    Finished trials stay as they are. Interrupted ones keep their ids and folders and go on from their last epochs;
    what they reported is not reported twice, and what they could not report is. A trial that outlived the manager
    is waited for.

    \b
    Examples:
      easrec resume hx3kq8ay
      easrec resume hx3kq8ay --port 9000
    """  # noqa: D301 (the command line's formatter asks for this character)
    toolkit.resume(experiment, Console(), port, expose=expose)
