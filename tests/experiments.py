"""What tests of NNI experiments share: small settings, an experiment's file, patience, and a clean end."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from easrec_nni.experiments.experiment import Experiment
from easrec_nni.experiments.manager import stop_experiment

SMALL_SPACE: dict[str, Any] = {
    "max_length": 8,
    "hidden": 8,
    "inner": 16,
    "heads": 2,
    "layers": 2,
    "hidden_pruning": [0, 0.5],
}


def experiment_document(**changes: Any) -> dict[str, Any]:
    """An experiment's file, of our trials beside a settings.yml, but for what the test changes."""
    return {
        "experimentName": "tiny",
        "trialCommand": "python3 -m easrec_nni.trial --settings settings.yml",
        "trialCodeDirectory": ".",
        "trialConcurrency": 2,
        "maxTrialNumber": 4,
        "tuner": {"name": "GridSearch", "classArgs": {"optimize_mode": "maximize"}},
        "trainingService": {"platform": "local"},
    } | changes


def wait_for(condition: Callable[[], object], seconds: float = 450) -> None:
    """Return when a condition holds; fail where it does not in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.3)


def stop_all(home: Path) -> None:
    """Stop the experiments of a home that a failed test may have left."""
    for folder in (home / "nni-experiments").glob("????????"):
        stop_experiment(Experiment(folder.name, "", folder, 0, True))
