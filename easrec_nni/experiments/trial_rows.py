"""Rows of trials and metrics, from NNI's REST API or its SQLite file, and the trials that they make together."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from easrec_nni.experiments.experiment import Experiment, Trial, is_experiment_id
from easrec_nni.trial.manager_api import DAMAGE, parse_result

__all__ = ["MetricRow", "TrialRow", "assemble", "seconds", "shown_parameters"]


@dataclass(frozen=True)
class TrialRow:
    """A trial as NNI notes it, without its results.

    Attributes
    ----------
    id, number, status, parameters
        Those of :class:`~easrec_nni.experiments.experiment.Trial`.
    parameter_id
        NNI's number of the parameters; None where none were sampled.
    started, ended
        Seconds since 1970, or None.
    """

    id: str
    number: int = 0
    status: str = "UNKNOWN"
    parameters: dict[str, Any] = field(default_factory=dict)
    parameter_id: str | None = None
    started: float | None = None
    ended: float | None = None

    def sampled(self, text: str | None) -> TrialRow:
        """The row with what the tuner sampled, as NNI writes it; as it is where that cannot be read."""
        try:
            record = json.loads(text or "{}")
            parameters, number = record.get("parameters"), record.get("parameter_id")
        except DAMAGE:
            return self
        if not isinstance(parameters, dict):
            return self
        return replace(self, parameters=shown_parameters(parameters), parameter_id=str(number))

    @classmethod
    def from_job(cls, job: dict[str, Any]) -> TrialRow:
        """Row of a trial in the REST API."""
        return cls(
            id=str(job["trialJobId"]),
            number=int(job.get("sequenceId", 0)),
            status=str(job.get("status", "UNKNOWN")),
            started=seconds(job.get("startTime")),
            ended=seconds(job.get("endTime")),
        ).sampled((job.get("hyperParameters") or [None])[0])


@dataclass(frozen=True)
class MetricRow:
    """A report of a trial.

    Attributes
    ----------
    trial_id
        Id of the trial that reported.
    parameter_id
        Number of the parameters that it had.
    sequence
        Place among the trial's intermediate results; None of a final result.
    result
        What it reported.
    """

    trial_id: str
    parameter_id: str
    sequence: int | None
    result: dict[str, Any]

    @classmethod
    def read(cls, trial_id: Any, parameter_id: Any, kind: Any, sequence: Any, data: Any) -> MetricRow:
        """Row of a metric; `kind` is NNI's type of it, `data` JSON within JSON."""
        place = None if kind == "FINAL" else int(sequence)
        return cls(str(trial_id), str(parameter_id), place, parse_result(data))

    @classmethod
    def from_api(cls, metric: dict[str, Any]) -> MetricRow:
        """Row of a metric in the REST API."""
        return cls.read(
            metric["trialJobId"], metric.get("parameterId"), metric["type"], metric.get("sequence"), metric["data"]
        )


def seconds(milliseconds: Any) -> float | None:
    """Seconds since 1970 of NNI's time; None where there is none."""
    return milliseconds / 1000 if milliseconds else None


def shown_parameters(parameters: dict[str, Any]) -> dict[str, Any]:
    """What was sampled: a trial of a ``NasExperiment`` has a whole model as its parameters, and its choices in there.

    Examples
    --------
    >>> shown_parameters({"lambda": 0.1}), shown_parameters({"mutation_summary": {"depth": 2}, "status": "frozen"})
    ({'lambda': 0.1}, {'depth': 2})
    """
    choices = parameters.get("mutation_summary")
    return choices if isinstance(choices, dict) else parameters


def assemble(experiment: Experiment, rows: Sequence[TrialRow], metrics: Sequence[MetricRow]) -> list[Trial]:
    """Trials of an experiment in the order of their numbers, each with its results.

    Raises
    ------
    ValueError
        The id of a trial is none, as in damaged records.
    """
    parameters = _actual_parameters(rows, metrics)
    finals = {metric.trial_id: metric.result for metric in metrics if metric.sequence is None}
    reports: dict[str, list[tuple[int, dict[str, Any]]]] = {row.id: [] for row in rows}
    for metric in metrics:
        if metric.sequence is not None:
            reports.setdefault(metric.trial_id, []).append((metric.sequence, metric.result))
    trials = []
    for row in rows:
        if not is_experiment_id(row.id):  # it becomes a part of a path
            raise ValueError(f"{row.id[:80]!r} is no id of a trial")
        in_order = sorted(reports[row.id], key=lambda report: report[0])
        trials.append(
            Trial(
                id=row.id,
                number=row.number,
                status=row.status,
                parameters=parameters.get(row.id, row.parameters),
                folder=_trial_folder(experiment, row.id),
                intermediate=_without_repetitions(result for _, result in in_order),
                final=finals.get(row.id),
                started=row.started,
                ended=row.ended,
            )
        )
    return sorted(trials, key=lambda trial: trial.number)


def _trial_folder(experiment: Experiment, trial_id: str) -> Path:
    """Where a trial on this machine has its files."""
    return experiment.folder / "environments" / "local-env" / "trials" / trial_id


def _actual_parameters(rows: Iterable[TrialRow], metrics: Iterable[MetricRow]) -> dict[str, dict[str, Any]]:
    """Parameters by trial, of the trials that had others than NNI's records of them say.

    Of two trials that start together NNI may give each the other's parameters. Where a trial could not see that for
    itself (see :mod:`easrec_nni.trial.nni_io`), the number under which it reports tells which ones it had:

    ========  ======================  =============  =========
    trial     NNI's record            reports under  it had
    ========  ======================  =============  =========
    ``a``     number 0: lambda = 0.1  1              0.3
    ``b``     number 1: lambda = 0.3  0              0.1
    ========  ======================  =============  =========

    A resumed experiment may begin these numbers again; one that stands for several samples tells nothing.

    Examples
    --------
    >>> rows = [TrialRow("a").sampled('{"parameter_id": 0, "parameters": {"lambda": 0.1}}'),
    ...         TrialRow("b").sampled('{"parameter_id": 1, "parameters": {"lambda": 0.3}}')]
    >>> _actual_parameters(rows, [MetricRow("a", "1", None, {}), MetricRow("b", "0", None, {})])
    {'a': {'lambda': 0.3}, 'b': {'lambda': 0.1}}
    >>> _actual_parameters(rows, [MetricRow("a", "0", None, {}), MetricRow("b", "1", None, {})])
    {}
    """
    recorded = {row.id: row.parameter_id for row in rows if row.parameter_id is not None}
    samples: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        if row.parameter_id is not None:
            samples.setdefault(row.parameter_id, []).append(row.parameters)
    actual = {}
    for metric in metrics:
        candidates = samples.get(metric.parameter_id, [])
        if metric.parameter_id != recorded.get(metric.trial_id) and len(candidates) == 1:
            actual[metric.trial_id] = candidates[0]
    return actual


def _without_repetitions(results: Iterable[dict[str, Any]]) -> tuple[dict[str, Any], ...]:
    """Results, each epoch once: a trial that is resumed on another machine cannot ask which ones NNI has."""
    first: dict[Any, dict[str, Any]] = {}
    for result in results:
        epoch = (str(result.get("phase")), str(result["epoch"])) if "epoch" in result else len(first)
        first.setdefault(epoch, result)
    return tuple(first.values())
