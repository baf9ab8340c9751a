"""``easrec init``: copies of the example experiments."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from easrec_nni.cli import toolkit
from easrec_nni.settings.examples import copy_examples, fingerprint_line


def init_command(
    folder: Annotated[Path, typer.Argument(metavar="[DIR]", help="Folder to write into.")] = Path("."),
    force: Annotated[bool, typer.Option("--force", help="Replace files that are already there.")] = False,
    data: Annotated[
        str | None,
        typer.Option("--data", metavar="NAME", help="Prepared dataset; its settings will require this very version."),
    ] = None,
) -> None:
    """Write the example experiments and their settings into a folder.

    With --data, the settings for that dataset record its fingerprint. A trial that finds another dataset of the same
    name, such as an older preparation on another machine, then fails and prints both fingerprints.

    \b
    Examples:
      easrec init my-search
      easrec init my-search --data ml-100k
    """  # noqa: D301 (the command line's formatter asks for this character)
    dataset = None
    if data is not None:
        dataset = toolkit.load_dataset(data, verify=True)
    files = copy_examples(folder, force, dataset)
    for file in files:
        print(file)
    if dataset is not None and not any(fingerprint_line(dataset) in file.read_text("utf-8") for file in files):
        print(f"\nno example uses {dataset.name}; add these lines to your own settings:")
        print(f"data: {data}\n{fingerprint_line(dataset)}")
    print(f"\nnext: easrec prepare ml-100k && nnictl create --config {folder / 'ml100k.yml'}")
