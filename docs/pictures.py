"""Pictures of the documents, from the folder that `make demo` wrote.

    python docs/pictures.py demo-results    # the network, as the terminal shows it

Those of the web UI are made by docs/screenshots.py.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from rich.console import Console

from easrec_nni.architecture.cost import architecture_cost
from easrec_nni.architecture.document import Architecture

IMAGES = Path(__file__).parent / "images"


def terminal(results: Path) -> None:
    """The searched network, as SVG."""
    architecture = Architecture.read(results / "architecture.json")
    unpruned = architecture_cost(architecture.space, architecture.space.largest).as_dict()
    with open(os.devnull, "w") as nowhere:
        console = Console(record=True, width=84, file=nowhere, force_terminal=True, highlight=False)
        console.print(architecture.model_copy(update={"metrics": {}}).draw(unpruned))
    console.save_svg(str(IMAGES / "architecture.svg"), title="easrec show architecture.json")


def main() -> None:
    """Make them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path)
    options = parser.parse_args()
    IMAGES.mkdir(exist_ok=True)
    terminal(options.results)


if __name__ == "__main__":
    main()
