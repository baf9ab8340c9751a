"""One cell of a table: one system with one seed, searched, retrained, evaluated once on the test set.

A cell's folder tells all: what is complete there is not done again, and a run that was killed goes on.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from easrec_nni.bench.memory import peak_memory_bytes
from easrec_nni.common.errors import UserError
from easrec_nni.common.files import read_json, write_json
from easrec_nni.common.locks import alone
from easrec_nni.data.dataset import Dataset
from easrec_nni.settings.trial import TrialSettings
from easrec_nni.study.systems import SYSTEMS, System, find_systems
from easrec_nni.training.history import tell_again

__all__ = ["RESULT_FILE", "Cell", "cell_settings", "read_result", "run_cell"]

SCHEMA_VERSION = 1
RESULT_FILE = "result.json"
LONGEST_NAME = 255  # bytes of a folder's name

EpochReport = Callable[[str, dict[str, float]], None]


@dataclass(frozen=True)
class Cell:
    """Which system with which seed and, in a sweep, which further settings.

    Examples
    --------
    >>> Cell("easrec", 3, {"lambda": 0.5}).path.as_posix()
    'easrec--lambda=0.5/seed3'
    >>> Cell("easrec", 3, {"lambda": 1.0}).path.as_posix()
    'easrec--lambda=1/seed3'
    """

    system: str
    seed: int
    parameters: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        # NNI's manager hands 1.0 out as 1, as JavaScript writes it: both are one cell.
        object.__setattr__(self, "parameters", {name: _plain(value) for name, value in self.parameters.items()})

    @property
    def path(self) -> Path:
        """Folder of the cell below the study's ``cells``.

        Raises
        ------
        UserError
            A parameter would lead out of it, or is too long for a folder's name.
        """
        name = "--".join([self.system, *(f"{name}={value}" for name, value in sorted(self.parameters.items()))])
        if "/" in name or not name.isprintable() or len(name.encode()) > LONGEST_NAME:
            raise UserError(f"the parameters of the cell {name[:100]!r} cannot be the name of a folder: choose others")
        return Path(name) / f"seed{self.seed}"

    @classmethod
    def sampled(cls, parameters: Mapping[str, Any]) -> Cell:
        """Cell of a sample that NNI's tuner drew: ``system``, ``seed`` and further dotted settings.

        Raises
        ------
        UserError
            ``system`` or ``seed`` is missing or unknown.
        """
        rest = dict(parameters)
        try:
            system, seed = str(rest.pop("system")), int(rest.pop("seed"))
        except (KeyError, TypeError, ValueError):
            raise UserError(f"a cell has a system and a seed; got {dict(parameters)}") from None
        find_systems([system])
        return cls(system, seed, rest)


def _plain(value: Any) -> Any:
    """A whole number without its decimal point."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def cell_settings(cell: Cell, base: TrialSettings) -> TrialSettings:
    """Settings of a cell: the study's, the system's changes, the cell's parameters and seed."""
    return SYSTEMS[cell.system].settings(base, {**cell.parameters, "seed": cell.seed})


def read_result(folder: Path) -> dict[str, Any] | None:
    """Result of a cell, or None while it is not complete."""
    try:
        document = read_json(folder / RESULT_FILE)
    except (OSError, ValueError):
        return None
    return document if isinstance(document, dict) and document.get("schema_version") == SCHEMA_VERSION else None


def run_cell(
    cell: Cell, base: TrialSettings, folder: Path, *, on_epoch: EpochReport | None = None, progress: bool = False
) -> dict[str, Any]:
    """Run a cell, or go on with it, or take its result as it is.

    Parameters
    ----------
    cell
        What to run.
    base
        Settings that all cells of the study share.
    folder
        The cell's own folder.
    on_epoch
        Told the phase (``search``, ``retrain``) and the row of every epoch, those of a run that was cut short too.
    progress
        Whether to draw a progress bar.

    Returns
    -------
    dict
        The contents of ``result.json``.

    Raises
    ------
    UserError
        The settings do not fit, or the folder holds a run with other settings.
    """
    settings = cell_settings(cell, base)
    dataset = settings.dataset()
    dataset.check_trainable()
    with alone(folder):
        result = read_result(folder)
        if result is not None:
            _check_same(result, settings, dataset, folder)
            return result
        system = SYSTEMS[cell.system]
        if system.floor is not None:
            figures = _measure_floor(system, settings, dataset, folder)
        else:
            tell_again(on_epoch or _nobody, search=folder / "search", retrain=folder / "retrained")
            figures = _train(system, settings, dataset, folder, on_epoch or _nobody, progress)
        result = _document(cell, system, settings, dataset, figures)
        write_json(folder / RESULT_FILE, result)  # last: its presence says that the cell is complete
    return result


def _nobody(phase: str, row: dict[str, float]) -> None:
    """Nobody wants to know."""


def _check_same(result: dict[str, Any], settings: TrialSettings, dataset: Dataset, folder: Path) -> None:
    same_data = result["dataset"]["fingerprint"] == dataset.fingerprint
    # Read again, so that settings which a later version has added count as their defaults.
    if TrialSettings.reopen(result["settings"], str(folder / RESULT_FILE)) != settings or not same_data:
        what = "settings" if same_data else "data"
        raise UserError(f"{folder} holds a result with other {what}: choose another --out, or remove that folder")


def _train(
    system: System, settings: TrialSettings, dataset: Dataset, folder: Path, on_epoch: EpochReport, progress: bool
) -> dict[str, Any]:
    """Search if there is anything to choose, retrain; figures of the trained network."""
    from easrec_nni.architecture.document import Architecture
    from easrec_nni.evaluation.final import RANKS_FILE
    from easrec_nni.retraining.metrics import read_metrics
    from easrec_nni.retraining.stage import retrain
    from easrec_nni.searching.stage import search

    config = settings.space_for(dataset)
    supernet: Path | None = None
    searched: dict[str, float] = {"search_seconds": 0.0, "search_epochs_run": 0}
    if config.is_fixed:
        architecture = Architecture(choices=config.largest, space=config, seed=settings.seed)
    else:
        found = search(
            dataset, settings, folder / "search", progress=progress, on_epoch=lambda row: on_epoch("search", row)
        )
        architecture, supernet = found.architecture, found.supernet
        # Epochs' own clocks, so that a run that was interrupted counts what it computed and not what it waited.
        searched = {
            "search_seconds": sum(row["seconds"] for row in found.history),
            "search_epochs_run": len(found.history),
        }
    done = retrain(
        architecture,
        dataset,
        folder / "retrained",
        weights=supernet if settings.retrain.weights == "inherit" else None,
        settings=settings,
        progress=progress,
        on_epoch=lambda row: on_epoch("retrain", row),
    )
    metrics = read_metrics(done.folder)
    shutil.copyfile(done.folder / RANKS_FILE, folder / RANKS_FILE)
    training = metrics["training"]
    return {
        **{part: metrics[part] for part in ("test", "valid", "valid_selection_users", "cost")},
        **({"test_refitted": metrics["test_refitted"]} if "test_refitted" in metrics else {}),
        "negatives_version": metrics.get("negatives_version", 1),
        "inference": metrics.get("inference", {}),
        "bytes_on_disk": (done.folder / "weights.safetensors").stat().st_size,
        "choices": None if config.is_fixed else metrics["choices"],
        "training": {
            **searched,
            "retrain_seconds": training["seconds"],
            "retrain_epochs_run": training["epochs"],
            "best_epoch": training["best_epoch"],
            "threads": training["threads"],
            "peak_memory_bytes": peak_memory_bytes(),
        },
    }


def _measure_floor(system: System, settings: TrialSettings, dataset: Dataset, folder: Path) -> dict[str, Any]:
    """Figures of a baseline that needs no training."""
    from easrec_nni.evaluation.final import RANKS_FILE, final_evaluation, write_ranks

    assert system.floor is not None
    begin = time.perf_counter()
    network = system.floor(dataset)
    seconds = time.perf_counter() - begin
    figures, ranks = final_evaluation(network, dataset, settings.search.arch_share, settings.select_by)
    write_ranks(ranks, folder / RANKS_FILE)
    return {
        **figures,
        "cost": {},
        "bytes_on_disk": 0,
        "choices": None,
        "training": {"retrain_seconds": seconds, "search_seconds": 0.0},
    }


def _document(
    cell: Cell, system: System, settings: TrialSettings, dataset: Dataset, figures: dict[str, Any]
) -> dict[str, Any]:
    from easrec_nni.architecture.document import DatasetReference
    from easrec_nni.common.provenance import provenance

    searches = not system.fixed and system.floor is None
    return {
        "schema_version": SCHEMA_VERSION,
        "system": system.name,
        "title": system.title,
        "group": system.group,
        "source": system.source,
        "seed": cell.seed,
        "parameters": dict(cell.parameters),
        "dataset": DatasetReference.of(dataset).model_dump(),
        **figures,
        "budget": {
            "search_epochs": settings.search.epochs if searches else 0,
            "retrain_epochs": 0 if system.floor else settings.retrain.epochs,
            "patience": settings.retrain.patience,
            "batch_size": settings.retrain.batch_size,
            "hyperparameter_trials": 1,
        },
        "settings": settings.model_dump(mode="json", by_alias=True),
        **provenance(),
    }
