"""Pictures of NNI's web UI for the README and the documentation, from a small experiment that is run for them.

    apt-get install chromium chromium-driver
    python docs/screenshots.py                               # runs six short trials on MovieLens-100K first
    python docs/screenshots.py --web-ui http://127.0.0.1:8080    # or: of that same experiment, which runs already

Two of the trials fail on purpose: a negative λ is refused. The web UI's icons are a font that it loads from the
internet; where that cannot be reached there would be empty boxes, and the pictures leave the icons out.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml
from PIL import Image
from rich.console import Console
from web_ui import WebUi, open_web_ui

from easrec_nni.data import prepare
from easrec_nni.experiments.manager import running_experiment
from easrec_nni.experiments.watching import watch
from easrec_nni.settings.examples import examples_folder
from easrec_nni.settings.trial import TrialSettings

IMAGES = Path(__file__).parent / "images"
COLOURS = 64  # of a picture: pages of text and lines need no more
# Minutes instead of hours: what counts is what the pages look like.
SMALL = {
    "space.max_length": 20,
    "space.hidden": 32,
    "space.inner": 64,
    "search.epochs": 8,
    "search.patience": 8,
    "search.temperature.decay": 0.004,
    "retrain.epochs": 8,
    "retrain.patience": 8,
}
GOOD, BAD = 0, 4  # numbers of a trial that succeeds, and of one that fails
WIDTH, HEIGHT = 1600, 1000  # of the window
WITHOUT_ICONS = """
const style = document.createElement('style');
style.textContent = 'i[data-icon-name] { opacity: 0 !important; }';
document.head.appendChild(style);
"""
COLUMNS = (
    "Trial No.",
    "Status",
    "lambda (space)",
    "space.dropout (space)",
    "valid_ndcg@10_full (metric)",
    "madds_per_user (metric)",
    "parameters (metric)",
    "pruning (metric)",
    "depth (metric)",
)


def experiment_document() -> dict[str, Any]:
    """A sweep over λ and dropout, with a value of λ that is refused."""
    space = {"lambda": [0.1, 1.0, -1.0], "space.dropout": [0.1, 0.3]}
    return {
        "experimentName": "easrec-ml100k",
        "searchSpace": {name: {"_type": "choice", "_value": values} for name, values in space.items()},
        "trialCommand": "python3 -m easrec_nni.trial --settings settings.yml",
        "trialCodeDirectory": ".",
        "trialConcurrency": 2,  # one thread each on two cores
        "maxTrialNumber": 6,
        "tuner": {"name": "GridSearch", "classArgs": {"optimize_mode": "maximize"}},
        "trainingService": {"platform": "local"},
    }


@contextmanager
def finished_experiment(folder: Path, port: int) -> Iterator[str]:
    """The experiment, all of whose trials have ended; its address."""
    prepare("ml-100k")
    settings = TrialSettings.read(examples_folder() / "settings" / "ml100k.yml").with_parameters(SMALL)
    document = settings.model_dump(mode="json", by_alias=True)
    (folder / "settings.yml").write_text(yaml.safe_dump(document), encoding="utf-8")
    config = folder / "screenshots.yml"
    config.write_text(yaml.safe_dump(experiment_document(), sort_keys=False), encoding="utf-8")
    with running_experiment(config, port) as experiment:
        watch(experiment, Console(), 6)
        yield experiment.url


def save(page: WebUi, name: str, folder: Path) -> None:
    """Save what the window shows as a small PNG."""
    file = folder / f"{name}.png"
    page.driver.execute_script(WITHOUT_ICONS)
    page.picture(file)
    with Image.open(file) as image:
        image.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE).save(IMAGES / file.name, optimize=True)


def take(page: WebUi, folder: Path) -> None:
    """All pictures."""
    page.overview()
    save(page, "webui-overview", folder)
    page.trials()
    page.choose_columns(COLUMNS)
    save(page, "webui", folder)
    page.tab("Intermediate result")
    save(page, "webui-intermediate", folder)
    page.trials()
    keys = page.open_intermediate(GOOD)
    page.choose_key("retrain" if "retrain" in keys else keys[0])
    save(page, "webui-curve", folder)
    page.trials()
    page.expand(BAD, "Log")
    save(page, "webui-failed", folder)


def main() -> None:
    """Make them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--web-ui", metavar="URL")
    parser.add_argument("--port", type=int, default=8080)
    options = parser.parse_args()
    IMAGES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if options.web_ui:
            with open_web_ui(options.web_ui, folder / "profile", WIDTH, HEIGHT) as page:
                take(page, folder)
            return
        with (
            finished_experiment(folder, options.port) as address,
            open_web_ui(address, folder / "profile", WIDTH, HEIGHT) as page,
        ):
            take(page, folder)


if __name__ == "__main__":
    main()
