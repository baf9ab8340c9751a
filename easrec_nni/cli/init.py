"""``easrec init``: the example experiments, to start from."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def init_command(
    folder: Annotated[Path, typer.Argument(metavar="[DIR]", help="Folder to write into.")] = Path("."),
    force: Annotated[bool, typer.Option("--force", help="Replace files that are already there.")] = False,
) -> None:
    """Write the example experiments and their settings into a folder."""
    from easrec_nni.examples_folder import copy_examples

    for file in copy_examples(folder, force):
        print(file)
    print(f"\nnext: easrec prepare ml-100k && nnictl create --config {folder / 'ml100k.yml'}")
