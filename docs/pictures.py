"""Pictures of the README, from the folder that `make demo` wrote.

    python docs/pictures.py demo-results                    # the network, as the terminal shows it
    nnictl view ID --port 8080 && python docs/pictures.py demo-results --web-ui http://127.0.0.1:8080

The page of the web UI is taken with a headless Chromium (Debian's package `chromium`).
"""

from __future__ import annotations

import argparse
import os
import subprocess
from pathlib import Path

from rich.console import Console

from easrec_nni.architecture import Architecture
from easrec_nni.cost import architecture_cost

IMAGES = Path(__file__).parent / "images"


def terminal(results: Path) -> None:
    """The searched network, as SVG."""
    architecture = Architecture.read(results / "architecture.json")
    unpruned = architecture_cost(architecture.space, architecture.space.largest).as_dict()
    with open(os.devnull, "w") as nowhere:
        console = Console(record=True, width=84, file=nowhere, force_terminal=True, highlight=False)
        console.print(architecture.model_copy(update={"metrics": {}}).draw(unpruned))
    console.save_svg(str(IMAGES / "architecture.svg"), title="easrec show architecture.json")


def web_ui(address: str) -> None:
    """Trials page of NNI's web UI, as PNG."""
    command = ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"]
    command += ["--window-size=1500,900", "--virtual-time-budget=20000"]
    command += [f"--screenshot={IMAGES / 'webui.png'}", f"{address}/detail"]
    subprocess.run(command, check=True, capture_output=True, timeout=120)


def main() -> None:
    """Make them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path)
    parser.add_argument("--web-ui", metavar="URL")
    options = parser.parse_args()
    IMAGES.mkdir(exist_ok=True)
    terminal(options.results)
    if options.web_ui:
        web_ui(options.web_ui)


if __name__ == "__main__":
    main()
