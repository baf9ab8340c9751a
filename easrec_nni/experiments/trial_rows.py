"""Rows of trials and metrics from NNI's REST API or SQLite file, and their join into trials."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from easrec_nni.experiments.experiment import Experiment, Trial, is_experiment_id
from easrec_nni.trial.manager_api import DAMAGE, parse_result

__all__ = ["MetricRow", "TrialRow", "join_trials", "seconds", "sampled_parameters"]


@dataclass(frozen=True)
class TrialRow:
    """A trial in NNI's records, without its results.

    Attributes
    ----------
    id, number, status, parameters
        Attributes of :class:`~easrec_nni.experiments.experiment.Trial`.
    parameter_id
        NNI's number of the parameters; None if none were sampled.
    started, ended
        Unix time in seconds, or None.
    """

    id: str
    number: int = 0
    status: str = "UNKNOWN"
    parameters: dict[str, Any] = field(default_factory=dict)
    parameter_id: str | None = None
    started: float | None = None
    ended: float | None = None

    def sampled(self, text: str | None) -> TrialRow:
        """Row with the sampled parameters from NNI's JSON; unchanged if that cannot be read."""
        try:
            record = json.loads(text or "{}")
            parameters, number = record.get("parameters"), record.get("parameter_id")
        except DAMAGE:
            return self
        if not isinstance(parameters, dict):
            return self
        return replace(self, parameters=sampled_parameters(parameters), parameter_id=str(number))

    @classmethod
    def from_job(cls, job: dict[str, Any]) -> TrialRow:
        """Row of a trial from the REST API."""
        return cls(
            id=str(job["trialJobId"]),
            number=int(job.get("sequenceId", 0)),
            status=str(job.get("status", "UNKNOWN")),
            started=seconds(job.get("startTime")),
            ended=seconds(job.get("endTime")),
        ).sampled((job.get("hyperParameters") or [None])[0])


@dataclass(frozen=True)
class MetricRow:
    """A reported result of a trial.

    Attributes
    ----------
    trial_id
        Id of the trial.
    parameter_id
        Number of the trial's parameters.
    sequence
        Index among the trial's intermediate results; None for a final result.
    result
        The reported result.
    """

    trial_id: str
    parameter_id: str
    sequence: int | None
    result: dict[str, Any]

    @classmethod
    def read(cls, trial_id: Any, parameter_id: Any, kind: Any, sequence: Any, data: Any) -> MetricRow:
        """Row from NNI's values; `kind` is NNI's metric type, `data` JSON within JSON."""
        index = None if kind == "FINAL" else int(sequence)
        return cls(str(trial_id), str(parameter_id), index, parse_result(data))

    @classmethod
    def from_api(cls, metric: dict[str, Any]) -> MetricRow:
        """Row of a metric from the REST API."""
        return cls.read(
            metric["trialJobId"], metric.get("parameterId"), metric["type"], metric.get("sequence"), metric["data"]
        )


def seconds(milliseconds: Any) -> float | None:
    """Unix time in seconds from NNI's milliseconds; None if missing."""
    return milliseconds / 1000 if milliseconds else None


def sampled_parameters(parameters: dict[str, Any]) -> dict[str, Any]:
    """Sampled parameters, or the choices of a ``NasExperiment``'s model.

    Examples
    --------
    >>> sampled_parameters({"lambda": 0.1}), sampled_parameters({"mutation_summary": {"depth": 2}, "status": "frozen"})
    ({'lambda': 0.1}, {'depth': 2})
    """
    choices = parameters.get("mutation_summary")
    return choices if isinstance(choices, dict) else parameters


def join_trials(experiment: Experiment, rows: Sequence[TrialRow], metrics: Sequence[MetricRow]) -> list[Trial]:
    """Join rows into the trials of an experiment, ordered by number.

    Raises
    ------
    ValueError
        A trial's id is invalid, as in damaged records.
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
            raise ValueError(f"{row.id[:80]!r} is not a trial id")
        in_order = sorted(reports[row.id], key=lambda report: report[0])
        trials.append(
            Trial(
                id=row.id,
                number=row.number,
                status=row.status,
                parameters=parameters.get(row.id, row.parameters),
                folder=_trial_folder(experiment, row.id),
                intermediate=_unique_epochs(result for _, result in in_order),
                final=finals.get(row.id),
                started=row.started,
                ended=row.ended,
            )
        )
    return sorted(trials, key=lambda trial: trial.number)


def _trial_folder(experiment: Experiment, trial_id: str) -> Path:
    """Folder of a local trial's files."""
    return experiment.folder / "environments" / "local-env" / "trials" / trial_id


def _actual_parameters(rows: Iterable[TrialRow], metrics: Iterable[MetricRow]) -> dict[str, dict[str, Any]]:
    """Actual parameters by trial, of the trials for which NNI's records are wrong.

    NNI may swap the parameters of two trials that start together. Where a trial could not notice it
    (see :mod:`easrec_nni.trial.nni_io`), the parameter number of its reports tells which ones it had:

    ========  ======================  =============  =========
    trial     NNI's record            reports under  it had
    ========  ======================  =============  =========
    ``a``     number 0: lambda = 0.1  1              0.3
    ``b``     number 1: lambda = 0.3  0              0.1
    ========  ======================  =============  =========

    A resumed experiment may restart these numbers; a number of several samples is ambiguous and ignored.

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


def _unique_epochs(results: Iterable[dict[str, Any]]) -> tuple[dict[str, Any], ...]:
    """Results with each epoch once: a trial resumed on another machine reports epochs again."""
    first: dict[Any, dict[str, Any]] = {}
    for result in results:
        epoch = (str(result.get("phase")), str(result["epoch"])) if "epoch" in result else len(first)
        first.setdefault(epoch, result)
    return tuple(first.values())
