"""One table of several, such as those of machines that trained different seeds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from easrec_nni.architecture.cost_kinds import COST_FIGURES
from easrec_nni.architecture.latency import LatencyFile
from easrec_nni.architecture.schema import DatasetIdentity
from easrec_nni.common.errors import UserError
from easrec_nni.settings.trial import TrialSettings
from easrec_nni.tabular.assembling import FIGURES, RunFigures, assemble
from easrec_nni.tabular.build_folder import Run, differing_settings, recorded_settings, settings_record
from easrec_nni.tabular.documents import TableDocument
from search_spaces import Choice, SpaceConfig

__all__ = ["merge_tables", "runs_in", "with_latency"]


def merge_tables(tables: Mapping[str, TableDocument]) -> TableDocument:
    """Table with the runs of all tables.

    An architecture has the costs that all of its tables have, each as in the last of them.

    Parameters
    ----------
    tables
        Tables by the name of their source, for messages.

    Raises
    ------
    UserError
        The tables are not of the same dataset, space, settings and figures, or two of them have other figures of one
        run.
    """
    (first_name, first), *others = tables.items()
    for name, table in tables.items():
        if tuple(table.figures) != FIGURES:
            raise UserError(f"{name} has other figures than this version collects: build it again")
    for name, table in others:
        if reason := _difference(_origin(first_name, first), _origin(name, table)):
            raise UserError(f"{first_name} and {name} are not of one build: they differ in {reason}")
    costs: dict[Choice, dict[str, float]] = {}
    runs: dict[Run, RunFigures] = {}
    for name, table in tables.items():
        for row in table.architectures:
            known = costs.get(row.choices, row.cost)
            costs[row.choices] = {key: value for key, value in row.cost.items() if key in known}
        for of_run in table.runs:
            run = Run(table.architectures[of_run.architecture].choices, of_run.seed)
            figures = RunFigures(of_run.values, of_run.commit)
            if runs.setdefault(run, figures) != figures:
                raise UserError(f"{name} has other figures of {run} than a table before it: give one of them")
    return assemble(
        dataset=first.dataset,
        select_by=first.select_by,
        settings=first.settings,
        space=first.space,
        costs=costs,
        runs=runs,
    )


def runs_in(
    tables: Mapping[str, TableDocument], dataset: DatasetIdentity, settings: TrialSettings, space: SpaceConfig
) -> frozenset[Run]:
    """Runs of a build that tables already have.

    Parameters
    ----------
    tables
        Tables by the name of their source, for messages.
    dataset, settings, space
        Dataset, settings and space of the build.

    Raises
    ------
    UserError
        A table is of another dataset, space or settings than the build.
    """
    runs: set[Run] = set()
    build = Origin(dataset, settings_record(settings), space)
    for name, table in tables.items():
        if reason := _difference(_origin(name, table), build):
            raise UserError(f"{name} is not a table of this build: they differ in {reason}")
        runs |= {Run(table.architectures[row.architecture].choices, row.seed) for row in table.runs}
    return frozenset(runs)


class Origin(NamedTuple):
    """What makes runs comparable."""

    dataset: DatasetIdentity
    settings: dict[str, Any]
    space: SpaceConfig


def _origin(name: str, table: TableDocument) -> Origin:
    return Origin(table.dataset, settings_record(recorded_settings(table.settings, name)), table.space)


def _difference(one: Origin, other: Origin) -> str | None:
    """What two origins differ in; None if their runs are comparable."""
    if one.dataset.fingerprint != other.dataset.fingerprint:
        return "the data"
    # The dataset's path may be another on each machine.
    if changed := differing_settings(one.settings | {"data": ""}, other.settings | {"data": ""}):
        return f"the settings {', '.join(changed)}"
    return "the space" if one.space != other.space else None


def with_latency(table: TableDocument, device: LatencyFile) -> TableDocument:
    """Table with the latency that a device's file predicts as one more cost of every architecture."""
    rows = [
        row.model_copy(update={"cost": {**row.cost, COST_FIGURES["latency"]: device.predict(row.choices, table.space)}})
        for row in table.architectures
    ]
    return table.model_copy(update={"architectures": rows})
