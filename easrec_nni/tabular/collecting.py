"""Table of a build's complete runs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from easrec_nni.common.errors import UserError
from easrec_nni.data.dataset import Dataset
from easrec_nni.retraining.metrics import RunMetrics, read_metrics
from easrec_nni.tabular.assembling import ACCURACY, TRAINING, RunFigures, assemble
from easrec_nni.tabular.build_folder import BuildFolder, settings_record
from easrec_nni.tabular.documents import TableDocument, write_table
from easrec_nni.training.context import TrialContext

__all__ = ["build_table", "collect"]

DIGITS = 7  # after the point; a standard error over 22,363 users is about .001


def build_table(build: BuildFolder, dataset: Dataset | None = None) -> TableDocument:
    """Table of a build's complete runs.

    Parameters
    ----------
    build
        The build.
    dataset
        Dataset of the build, to count the costs again; None for those that the runs recorded, which lack the costs
        that a later version counts.

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
    return assemble(
        dataset=build.dataset,
        select_by=_compared(next(iter(metrics.values()))),
        settings=settings_record(build.settings) | {"data": build.dataset.name},
        space=space,
        costs=costs,
        runs={run: _figures(of_run) for run, of_run in metrics.items()},
    )


def collect(build: BuildFolder, out: Path, dataset: Dataset | None = None) -> TableDocument:
    """Write :func:`build_table` to a file, compressed if its name ends in ``.gz``."""
    table = build_table(build, dataset)
    write_table(table, out)
    return table


def _figures(metrics: RunMetrics) -> RunFigures:
    training = metrics.training.model_dump(include=set(TRAINING))
    values = [*_accuracy(metrics.valid), *_accuracy(metrics.test), *(round(training[name], 1) for name in TRAINING)]
    return RunFigures(values, metrics.commit)


def _accuracy(part: Mapping[str, float]) -> list[float]:
    return [round(part[name], DIGITS) for name in ACCURACY]


def _compared(metrics: RunMetrics) -> str:
    """NDCG@10 by which the runs' networks are compared, the one whose standard error they record."""
    ending = "_standard_error"
    return next(name for name in metrics.valid_selection_users if name.endswith(ending)).removesuffix(ending)
