"""A small real experiment, and a browser on its web UI."""

from __future__ import annotations

import importlib.util
import io
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml
from rich.console import Console

from easrec_nni import Dataset
from easrec_nni.experiments.experiment import Experiment
from easrec_nni.experiments.manager import free_port, running_experiment
from easrec_nni.experiments.watching import watch
from tests.experiments import SMALL_SPACE, experiment_document, stop_all

ROOT = Path(__file__).resolve().parents[2]
SETTINGS: dict[str, Any] = {
    "space": SMALL_SPACE,
    "search": {"epochs": 3, "batch_size": 8},
    "retrain": {"epochs": 2, "batch_size": 8, "averaging": 0},  # two epochs move an average too little
    "batch_by": "sequences",
    "select_by": "ndcg@10_full",
}
# A negative λ is refused: two of the trials fail, at once.
SPACE = {
    "lambda": {"_type": "choice", "_value": [0.25, -1.0]},
    "retrain.learning_rate": {"_type": "choice", "_value": [0.0001, 0.05]},
}


@pytest.fixture(scope="module")
def experiment(tiny_dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Experiment]:
    """An experiment whose trials have ended, and whose manager still answers."""
    folder = tmp_path_factory.mktemp("experiment")
    (folder / "home").mkdir()
    (folder / "code").mkdir()
    (folder / "code" / "settings.yml").write_text(yaml.safe_dump({"data": str(tiny_dataset.path), **SETTINGS}))
    (folder / "code" / "tiny.yml").write_text(
        yaml.safe_dump(experiment_document(experimentName="tiny sweep", searchSpace=SPACE))
    )
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("HOME", str(folder / "home"))
        try:
            with running_experiment(folder / "code" / "tiny.yml", free_port(19_400)) as experiment:
                watch(experiment, Console(file=io.StringIO()), expected=4)
                yield experiment
        finally:
            stop_all(folder / "home")


@pytest.fixture(scope="session")
def web_ui() -> ModuleType:
    """``docs/web_ui.py``, which also takes the pictures of the README; skips where there is no browser."""
    specification = importlib.util.spec_from_file_location("web_ui", ROOT / "docs" / "web_ui.py")
    assert specification is not None and specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    sys.modules["web_ui"] = module
    specification.loader.exec_module(module)
    missing = module.missing_browser()
    if missing and os.environ.get("CI") == "true":
        pytest.fail(missing)  # where everything is checked, nothing is left out
    if missing:
        pytest.skip(missing)
    return module


@pytest.fixture(scope="module")
def page(web_ui: ModuleType, experiment: Experiment, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """The web UI of the experiment in a browser."""
    with web_ui.open_web_ui(experiment.url, tmp_path_factory.mktemp("profile") / "new") as page:
        yield page
