"""Small retrainings, and a teacher among them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from easrec_nni.architecture.document import Architecture
from easrec_nni.data import Dataset, prepare
from easrec_nni.retraining.stage import Retrained, retrain
from easrec_nni.settings.trial import TrialSettings

SPACE: dict[str, Any] = {
    "max_length": 6,
    "hidden": 8,
    "inner": 12,
    "heads": 2,
    "layers": 1,
    "gate_layers": 0,
    "dropout": 0.0,
    "hidden_pruning": [0],
    "inner_pruning": [0],
}
RETRAIN: dict[str, Any] = {"epochs": 3, "patience": 9, "learning_rate": 0.005, "batch_size": 8, "weights": "scratch"}
RETRAIN |= {"averaging": 0.0, "beta2": 0.999, "weight_decay": 0.0}
Train = Callable[..., Retrained]


def settings_for(dataset: Dataset, space: dict[str, Any], retraining: dict[str, Any], **fields: Any) -> TrialSettings:
    document = {"data": str(dataset.path), "space": SPACE | space, "retrain": RETRAIN | retraining, "seed": 5}
    document["batch_by"] = "sequences"
    return TrialSettings.parse(document | fields, "test")


def train(
    dataset: Dataset,
    out: Path,
    *,
    space: dict[str, Any] | None = None,
    options: dict[str, Any] | None = None,
    **fields: Any,
) -> Retrained:
    """Train the largest network of a space; ``options`` of ``retrain``, further settings as ``fields``."""
    settings = settings_for(dataset, space or {}, {k: v for k, v in fields.items() if k in _RETRAIN_KEYS},
                            **{k: v for k, v in fields.items() if k not in _RETRAIN_KEYS})  # fmt: skip
    config = settings.space_for(dataset)
    return retrain(
        Architecture(choices=config.largest, space=config), dataset, out, settings=settings, **(options or {})
    )


_RETRAIN_KEYS = {*RETRAIN, "teacher", "distillation", "temperature", "teacher_items", "refit", "averaging"}


@pytest.fixture(scope="session")
def chains(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """40 users who go through 30 items in order, mostly, so that epochs improve on the initial network."""
    folder = tmp_path_factory.mktemp("chains")
    rng = np.random.default_rng(3)
    lines = ["user,item,time"]
    for user in range(40):
        item = user % 30
        for step in range(4 + user % 14):
            lines.append(f"u{user},i{item},{1000 + step}")
            item = (item + 1) % 30 if rng.random() < 0.8 else int(rng.integers(30))
    (folder / "log.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return prepare(folder / "log.csv", folder / "prepared")


@pytest.fixture(scope="session")
def teacher_run(chains: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a teacher of twice the width, with its refit."""
    folder = tmp_path_factory.mktemp("teacher")
    train(chains, folder, space={"hidden": 16}, refit=True)
    return folder
