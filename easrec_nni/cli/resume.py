"""``easrec resume``: resume an NNI experiment."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console

from easrec_nni.cli import toolkit


def resume_command(
    experiment: Annotated[str, typer.Argument(metavar="ID", help="Experiment that was stopped or whose manager died.")],
    port: Annotated[int, typer.Option(help="Port of the web UI, or the next free one.", min=1, max=65535)] = 8080,
    expose: Annotated[
        bool,
        typer.Option("--expose", help="Let other machines reach the web UI: it has no password and runs commands."),
    ] = False,
) -> None:
    """Resume an NNI experiment that was stopped or whose manager was killed.

    Does what nnictl resume does, with the server closed to other machines. Finished trials stay unchanged. Interrupted
    ones keep their ids and folders and resume after their last epochs; each epoch is reported exactly once, also those
    that could not be reported before. A trial that outlived the manager is waited for.

    \b
    Examples:
      easrec resume hx3kq8ay
      easrec resume hx3kq8ay --port 9000
    """  # noqa: D301 (the command line's formatter asks for this character)
    toolkit.resume(experiment, Console(), port, expose=expose)
