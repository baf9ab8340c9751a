"""``easrec show``: an architecture as a picture in the terminal."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console


def show_command(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Architecture file, such as architecture.json.")],
) -> None:
    """Draw the network of an architecture file, with its cost beside that of the unpruned network."""
    from easrec_nni.architecture import Architecture  # here: `easrec --help` need not wait for torch
    from easrec_nni.cost import architecture_cost

    architecture = Architecture.read(file)
    space = architecture.space
    if not architecture.cost:  # a file written by hand
        cost = architecture_cost(space, architecture.choices).as_dict()
        architecture = architecture.model_copy(update={"cost": cost})
    Console(highlight=False).print(architecture.draw(architecture_cost(space, space.largest).as_dict()))
