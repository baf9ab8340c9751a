"""Table of trained runs: rows in the order of the space, and the noise ceiling of its complete seeds."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from easrec_nni.architecture.schema import DatasetIdentity
from easrec_nni.common.provenance import provenance
from easrec_nni.evaluation.figures import RANKINGS
from easrec_nni.evaluation.metrics import METRICS
from easrec_nni.tabular.build_folder import Run
from easrec_nni.tabular.documents import KIND, ArchitectureRow, NoiseCeiling, RunRow, TableDocument
from easrec_nni.tabular.noise import noise_ceiling
from search_spaces import Choice, SpaceConfig

__all__ = ["ACCURACY", "FIGURES", "TRAINING", "RunFigures", "assemble"]

ACCURACY = tuple(f"{metric}@10_{protocol}" for protocol in RANKINGS for metric in METRICS)
TRAINING = ("epochs", "best_epoch", "seconds")
FIGURES = (*(f"{part}_{name}" for part in ("valid", "test") for name in ACCURACY), *TRAINING)


class RunFigures(NamedTuple):
    """Figures of a run.

    Attributes
    ----------
    values
        Values of :data:`FIGURES`.
    commit
        Version of the code that trained it.
    """

    values: Sequence[float]
    commit: str | None


def assemble(
    *,
    dataset: DatasetIdentity,
    select_by: str,
    settings: Mapping[str, Any],
    space: SpaceConfig,
    costs: Mapping[Choice, Mapping[str, float]],
    runs: Mapping[Run, RunFigures],
) -> TableDocument:
    """Table of runs.

    Parameters
    ----------
    dataset, select_by, settings, space
        Fields of the document.
    costs
        Costs of the runs' architectures.
    runs
        Figures of the runs.
    """
    architectures = [choice for choice in space.architectures() if choice in costs]
    place = {choice: index for index, choice in enumerate(architectures)}
    seeds = _complete_seeds(runs, space.architectures())
    rows = [
        RunRow(architecture=place[run.choice], seed=run.seed, values=list(figures.values), commit=figures.commit)
        for run, figures in runs.items()
    ]
    return TableDocument(
        kind=KIND,
        schema_version=1,
        dataset=dataset,
        select_by=select_by,
        complete_seeds=seeds,
        noise=_noise(runs, architectures, seeds),
        settings=dict(settings),
        space=space,
        figures=list(FIGURES),
        architectures=[ArchitectureRow(choices=choice, cost=dict(costs[choice])) for choice in architectures],
        runs=sorted(rows, key=lambda row: (row.architecture, row.seed)),
        **provenance(),
    )


def _complete_seeds(runs: Collection[Run], architectures: Sequence[Choice]) -> list[int]:
    """Seeds of which every architecture of the space has a run."""
    seeds = sorted({run.seed for run in runs})
    return [seed for seed in seeds if all(Run(choice, seed) in runs for choice in architectures)]


def _noise(
    runs: Mapping[Run, RunFigures], architectures: Sequence[Choice], seeds: Sequence[int]
) -> dict[str, NoiseCeiling]:
    """Noise ceiling of each metric over the complete seeds; empty before the first one is complete."""

    def values(figure: str) -> NDArray[np.float64]:
        index = FIGURES.index(figure)
        rows = [[runs[Run(choice, seed)].values[index] for seed in seeds] for choice in architectures]
        return np.array(rows, dtype=np.float64)

    return {name: noise_ceiling(values(f"valid_{name}"), values(f"test_{name}")) for name in ACCURACY} if seeds else {}
