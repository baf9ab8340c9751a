"""``easrec launch``: start an NNI experiment after pre-flight checks."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from easrec_nni.cli import toolkit
from easrec_nni.common.errors import UserError


def launch_command(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Experiment; `easrec init` writes examples.")],
    port: Annotated[int, typer.Option(help="Port of the web UI, or the next free one.", min=1, max=65535)] = 8080,
    watch: Annotated[
        bool,
        typer.Option("--watch", "--foreground", help="Show the trials until they end; Ctrl-C stops the experiment."),
    ] = False,
    check: Annotated[bool, typer.Option("--check", help="Only run the checks.")] = False,
    expose: Annotated[
        bool,
        typer.Option("--expose", help="Let other machines reach the web UI: it has no password and runs commands."),
    ] = False,
) -> None:
    """Start an NNI experiment after checking it; its server stays closed to other machines.

    Does what nnictl create does. The checks cover NNI's server on this machine, the Python of trialCommand, the search
    space, the tuner and the assessor (with a trial draw), the settings, the prepared dataset, requested GPUs, the size
    of the code directory, and the disk. The command returns once the first trial has started; if the tuner dies, it
    prints the reason. The trials then run in the background; the web UI, nnictl and `easrec export` find the experiment
    as usual. The trials share the cores evenly.

    \b
    Examples:
      easrec launch ml100k.yml
      easrec launch ml100k.yml --check
      easrec launch ml100k.yml --port 9000 --watch
      ssh -L 8080:localhost:8080 SERVER       # then http://localhost:8080 is the server's web UI
    """  # noqa: D301 (the command line's formatter asks for this character)
    if check and watch:
        raise UserError("--check starts no trials for --watch to show; give one of them")

    console = Console()
    if check:
        toolkit.check(file, console, expose)
        console.print("ready", highlight=False)
    elif watch:
        toolkit.launch_and_watch(file, console, port, expose=expose)
    else:
        toolkit.launch(file, console, port, expose=expose)
