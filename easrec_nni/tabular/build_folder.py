"""Folder in which an architecture table is built: its document and its runs."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from easrec_nni.architecture.schema import DatasetIdentity
from easrec_nni.architecture.training_settings import OF_TEACHERS, RetrainSettings
from easrec_nni.common.documents import ResultDocument, read_document
from easrec_nni.common.errors import UserError
from easrec_nni.common.files import write_json
from easrec_nni.common.provenance import provenance
from easrec_nni.common.run_files import METRICS_FILE
from easrec_nni.data.dataset import Dataset
from easrec_nni.settings.search import SearchSettings
from easrec_nni.settings.trial import ObjectiveSettings, TrialSettings
from search_spaces import Choice, SpaceConfig

__all__ = [
    "BUILD_FILE",
    "BuildDocument",
    "BuildFolder",
    "Run",
    "differing_settings",
    "open_build",
    "recorded_settings",
    "settings_record",
    "without_search",
]

BUILD_FILE = "build.json"


_SEARCHING = {"search": SearchSettings(), "objective": ObjectiveSettings()}
"""Sections of the settings that no run of a build has, since it trains given architectures."""


def without_search(settings: TrialSettings) -> TrialSettings:
    """Settings in which what has no effect on a build has its default, so that it does not tell builds apart.

    That is all about searches and, without a teacher, about distillation.
    """
    retrain = settings.retrain
    if retrain.teacher is None:
        default = RetrainSettings()
        retrain = retrain.model_copy(update={name: getattr(default, name) for name in OF_TEACHERS})
    return settings.model_copy(update={**_SEARCHING, "retrain": retrain})


def settings_record(settings: TrialSettings) -> dict[str, Any]:
    """Settings for a document, without the sections about searches."""
    return settings.model_dump(mode="json", by_alias=True, exclude=set(_SEARCHING))


def recorded_settings(record: Mapping[str, Any], source: str) -> TrialSettings:
    """Settings of :func:`settings_record`, of an earlier version too.

    Raises
    ------
    UserError
        They cannot be used any longer; the message names their source.
    """
    given = {name: value for name, value in record.items() if name not in _SEARCHING}
    return without_search(TrialSettings.reopen(given, source))


class BuildDocument(ResultDocument):
    """``build.json``: what determines the runs of a build."""

    schema_version: Literal[1]
    dataset: DatasetIdentity
    settings: dict[str, Any]
    seeds: int
    first_seed: int = 0


@dataclass(frozen=True)
class Run:
    """Training of one architecture with one seed.

    Examples
    --------
    >>> run = Run(Choice(hidden_pruning=0.25, inner_pruning=0.5, depth=2), seed=1)
    >>> run.path.as_posix(), str(run)
    ('hidden25_inner50-depth2/seed1', 'hidden25_inner50, depth 2, seed 1')
    """

    choice: Choice
    seed: int

    def __str__(self) -> str:
        return f"{self.choice.label}, depth {self.choice.depth}, seed {self.seed}"

    @property
    def path(self) -> Path:
        """Folder of the run below the build's ``runs``."""
        return Path(f"{self.choice.label}-depth{self.choice.depth}") / f"seed{self.seed}"

    @classmethod
    def sampled(cls, parameters: Mapping[str, Any], space: SpaceConfig) -> Run:
        """Run of a sample that NNI's tuner drew: ``pruning``, ``depth`` and ``seed``.

        Raises
        ------
        UserError
            One of them is missing, unknown or not in the space.
        """
        try:
            choice = {name: value for name, value in parameters.items() if name != "seed"}
            return cls(space.choice(choice), int(parameters["seed"]))
        except (KeyError, TypeError, ValueError):
            raise UserError(f"a run has pruning, depth and seed of the table's space; got {dict(parameters)}") from None


@dataclass(frozen=True)
class BuildFolder:
    """Folder of a build: ``build.json`` and a folder for each run.

    Attributes
    ----------
    path
        The folder.
    settings
        Settings of all runs, with seed 0.
    seeds
        Number of seeds.
    dataset
        Dataset of all runs.
    first_seed
        The first seed; the others follow it.
    """

    path: Path
    settings: TrialSettings
    seeds: int
    dataset: DatasetIdentity
    first_seed: int = 0

    def folder(self, run: Run) -> Path:
        """Folder of a run."""
        return self.path / "runs" / run.path

    def is_complete(self, run: Run) -> bool:
        """Whether a run has its figures."""
        return (self.folder(run) / METRICS_FILE).is_file()

    def runs(self, architectures: Sequence[Choice]) -> list[Run]:
        """Runs of a build, seeds outermost, so that an interrupted build has complete rounds."""
        seeds = range(self.first_seed, self.first_seed + self.seeds)
        return [Run(choice, seed) for seed in seeds for choice in architectures]

    def complete(self, architectures: Sequence[Choice]) -> list[Run]:
        """Complete runs, those with seeds of an earlier, larger build too."""
        found = []
        for choice in architectures:
            folders = self.folder(Run(choice, 0)).parent.glob(f"seed*/{METRICS_FILE}")
            names = (file.parent.name.removeprefix("seed") for file in folders)
            found += [Run(choice, seed) for seed in sorted(int(name) for name in names if re.fullmatch(r"\d+", name))]
        return found

    @classmethod
    def read(cls, path: Path) -> BuildFolder:
        """Folder of an earlier build.

        Raises
        ------
        UserError
            The folder holds no build, or its document is damaged.
        """
        file = path / BUILD_FILE
        if not file.is_file():
            raise UserError(f"{path} holds no build: it has no {BUILD_FILE}; `easrec table build` creates one")
        document = read_document(file, BuildDocument, "choose another --out")
        settings = recorded_settings(document.settings, str(file))
        return cls(path, settings, document.seeds, document.dataset, document.first_seed)


def open_build(path: Path, dataset: Dataset, settings: TrialSettings, seeds: int, first_seed: int = 0) -> BuildFolder:
    """Create the folder of a build, or open it to go on, with more or fewer seeds.

    Raises
    ------
    UserError
        The folder holds a build with other settings or data, or something else.
    """
    if (path / BUILD_FILE).is_file():
        existing = BuildFolder.read(path)
        if changed := differing_settings(settings_record(existing.settings), settings_record(settings)):
            raise UserError(f"{path} holds a build with other settings ({', '.join(changed)}): choose another --out")
        if existing.dataset.fingerprint != dataset.fingerprint:
            raise UserError(f"{path} holds a build with other data: choose another --out")
    elif path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise UserError(f"{path} is neither an empty folder nor that of a build: choose another --out")
    identity = DatasetIdentity.of(dataset)
    document = BuildDocument(
        schema_version=1,
        dataset=identity,
        settings=settings_record(settings),
        seeds=seeds,
        first_seed=first_seed,
        **provenance(),
    )
    write_json(path / BUILD_FILE, document.as_json())
    return BuildFolder(path, settings, seeds, identity, first_seed)


def differing_settings(one: Mapping[str, Any], other: Mapping[str, Any], within: str = "") -> list[str]:
    """Dotted names of the settings that two records do not share."""
    names: list[str] = []
    for name in dict.fromkeys([*one, *other]):
        first, second = one.get(name), other.get(name)
        if isinstance(first, Mapping) and isinstance(second, Mapping):
            names += differing_settings(first, second, f"{within}{name}.")
        elif first != second:
            names.append(f"{within}{name}")
    return names
