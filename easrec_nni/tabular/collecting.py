"""Table of a build's complete runs."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from easrec_nni.architecture.cost_kinds import COST_FIGURES
from easrec_nni.architecture.latency import LatencyFile
from easrec_nni.common.errors import UserError
from easrec_nni.common.provenance import provenance
from easrec_nni.data.dataset import Dataset
from easrec_nni.evaluation.metrics import METRICS
from easrec_nni.retraining.metrics import RunMetrics, read_metrics
from easrec_nni.tabular.build_folder import BuildFolder, Run, settings_record
from easrec_nni.tabular.documents import KIND, ArchitectureRow, NoiseCeiling, RunRow, TableDocument, write_table
from easrec_nni.tabular.noise import noise_ceiling
from easrec_nni.training.context import TrialContext
from search_spaces import Choice

__all__ = ["collect"]

PROTOCOLS = ("full", "unseen", "pop100")
ACCURACY = tuple(f"{metric}@10_{protocol}" for protocol in PROTOCOLS for metric in METRICS)
TRAINING = ("epochs", "best_epoch", "seconds")
FIGURES = (*(f"{part}_{name}" for part in ("valid", "test") for name in ACCURACY), *TRAINING)
DIGITS = 7  # after the point; a standard error over 22,363 users is about .001


def collect(
    build: BuildFolder, out: Path, dataset: Dataset | None = None, latency: LatencyFile | None = None
) -> TableDocument:
    """Write the table of a build's complete runs.

    Parameters
    ----------
    build
        The build.
    out
        File of the table; compressed if its name ends in ``.gz``.
    dataset
        Dataset of the build, to count the costs again; None for those that the runs recorded, which lack the costs
        that a later version counts.
    latency
        Latency file of a device, which predicts one more cost of every architecture.

    Raises
    ------
    UserError
        No run is complete, or a run's figures are damaged.
    """
    space = build.settings.space_for(build.dataset.n_items)
    metrics = {run: read_metrics(build.folder(run)) for run in build.complete(space.architectures())}
    if not metrics:
        raise UserError(f"{build.path} has no complete run yet: `easrec table build` trains them")
    costs = {run.choice: figures.cost for run, figures in metrics.items()}
    if dataset is not None:
        context = TrialContext(build.settings, dataset, space)
        costs = {choice: context.architecture(choice).cost for choice in costs}
    if latency is not None:
        name = COST_FIGURES["latency"]
        costs = {choice: {**cost, name: latency.predict(choice, space)} for choice, cost in costs.items()}
    architectures = list(costs)
    seeds = _complete_seeds(metrics, space.architectures())
    table = TableDocument(
        kind=KIND,
        schema_version=1,
        dataset=build.dataset,
        select_by=_compared(next(iter(metrics.values()))),
        complete_seeds=seeds,
        noise=_noise(metrics, architectures, seeds),
        settings=settings_record(build.settings) | {"data": build.dataset.name},
        space=space,
        figures=list(FIGURES),
        architectures=[ArchitectureRow(choices=choice, cost=cost) for choice, cost in costs.items()],
        runs=[_row(architectures.index(run.choice), run.seed, figures) for run, figures in metrics.items()],
        **provenance(),
    )
    write_table(table, out)
    return table


def _row(architecture: int, seed: int, metrics: RunMetrics) -> RunRow:
    training = metrics.training.model_dump(include=set(TRAINING))
    values = [*_accuracy(metrics.valid), *_accuracy(metrics.test), *(round(training[name], 1) for name in TRAINING)]
    return RunRow(architecture=architecture, seed=seed, values=values, commit=metrics.commit)


def _accuracy(part: Mapping[str, float]) -> list[float]:
    return [round(part[name], DIGITS) for name in ACCURACY]


def _compared(metrics: RunMetrics) -> str:
    """NDCG@10 by which the runs' networks are compared, the one whose standard error they record."""
    ending = "_standard_error"
    return next(name for name in metrics.valid_selection_users if name.endswith(ending)).removesuffix(ending)


def _complete_seeds(runs: Collection[Run], architectures: Sequence[Choice]) -> list[int]:
    """Seeds of which every architecture of the space has a run."""
    seeds = sorted({run.seed for run in runs})
    return [seed for seed in seeds if all(Run(choice, seed) in runs for choice in architectures)]


def _noise(
    metrics: Mapping[Run, RunMetrics], architectures: Sequence[Choice], seeds: Sequence[int]
) -> dict[str, NoiseCeiling]:
    """Noise ceiling of each metric over the complete seeds; empty before the first one is complete."""

    def values(part: str, name: str) -> NDArray[np.float64]:
        rows = [[getattr(metrics[Run(choice, seed)], part)[name] for seed in seeds] for choice in architectures]
        return np.array(rows, dtype=np.float64)

    return {name: noise_ceiling(values("valid", name), values("test", name)) for name in ACCURACY} if seeds else {}
