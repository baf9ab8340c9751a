"""Experiments and trials of this user, from NNI's list, REST API and SQLite files."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

from easrec_nni.common.errors import UserError
from easrec_nni.common.hints import did_you_mean
from easrec_nni.experiments.experiment import Experiment, Trial, is_experiment_id
from easrec_nni.experiments.sqlite_records import read_rows
from easrec_nni.experiments.trial_rows import MetricRow, TrialRow, join_trials
from easrec_nni.trial.manager_api import DAMAGE, PROBE_SECONDS, ask

__all__ = ["find_experiment", "list_experiments", "list_trials", "nni_home"]


def nni_home() -> Path:
    """Folder of NNI's list of experiments."""
    return Path.home() / "nni-experiments"


def list_experiments() -> dict[str, dict[str, Any]]:
    """Entries of NNI's list of this user's experiments by id, oldest first."""
    file = nni_home() / ".experiment"
    try:
        entries = json.loads(file.read_text(encoding="utf-8"))
        return {str(key): value for key, value in entries.items() if isinstance(value, dict)}
    except (OSError, *DAMAGE):
        return {}


def find_experiment(experiment_id: str) -> Experiment:
    """Find an experiment of this user by id, running or finished.

    Raises
    ------
    UserError
        There is no such experiment, or its files are gone.
    """
    entries = list_experiments()
    entry = entries.get(experiment_id, {})
    folder = Path(str(entry.get("logDir") or nni_home())) / experiment_id
    if not is_experiment_id(experiment_id) or not (entry or os.path.isdir(folder)):
        newest = f"the newest are {', '.join(list(entries)[-3:])}" if entries else "there is none"
        hint = did_you_mean(experiment_id, entries, newest)
        raise UserError(f"NNI has no experiment {experiment_id!r} of this user; {hint}")
    if not os.path.isdir(folder):  # unlike Path.is_dir, it does not raise for a path that is too long
        raise UserError(f"the files of experiment {experiment_id} are gone: there is no {folder}")
    listed = entry.get("port")
    port = listed if type(listed) is int and 0 < listed < 65536 else 0
    experiment = Experiment(experiment_id, str(entry.get("experimentName") or ""), folder, port, running=False)
    may_run = entry.get("status") != "STOPPED" and port > 0
    return replace(experiment, running=may_run and _answers(experiment))


def _answers(experiment: Experiment) -> bool:
    """Whether the experiment's own manager, and not another's, answers on its port."""
    try:
        return bool(ask(experiment.address, "experiment", PROBE_SECONDS)["id"] == experiment.id)
    except (OSError, *DAMAGE):
        return False


def list_trials(experiment: Experiment) -> list[Trial]:
    """All trials of an experiment by number, from its manager or its SQLite file.

    Raises
    ------
    UserError
        The records cannot be read.
    """
    if experiment.running:
        try:
            jobs, metrics = ask(experiment.address, "trial-jobs"), ask(experiment.address, "metric-data")
            return join_trials(experiment, list(map(TrialRow.from_job, jobs)), list(map(MetricRow.from_api, metrics)))
        except (OSError, *DAMAGE):
            pass  # stopped in the meantime: read the records instead
    file = experiment.folder / "db" / "nni.sqlite"
    try:
        return join_trials(experiment, *read_rows(file))
    except DAMAGE as error:
        raise UserError(
            f"cannot read NNI's records {file}: they are damaged ({type(error).__name__}: {error})"
        ) from None
