"""``easrec demo``: the whole workflow on MovieLens-100K."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from easrec_nni.cli import toolkit


def demo_command(
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder for the results.")] = Path("demo-results"),
    port: Annotated[int, typer.Option(help="Port of the web UI, or the next free one.", min=1, max=65535)] = 8080,
    data: Annotated[
        Path | None, typer.Option(metavar="PATH", help="Local copy of MovieLens-100K, instead of downloading it.")
    ] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Repeat every step.")] = False,
) -> None:
    """Search on MovieLens-100K under NNI, and judge whether a smaller network keeps the accuracy.

    Ends with the verdict and a picture of all candidates. Steps that are complete are skipped. Ctrl-C leaves no process
    behind.

    \b
    Examples:
      easrec demo
      easrec demo --data ml-100k.zip --port 9000 --fresh
    """  # noqa: D301 (the command line's formatter asks for this character)
    toolkit.run_demo(out, port, data, fresh)
