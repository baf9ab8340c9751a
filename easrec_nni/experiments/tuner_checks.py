"""Checks of search space, tuner and assessor before an experiment starts."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from tempfile import TemporaryDirectory
from typing import Any

from easrec_nni.common.errors import UserError
from easrec_nni.experiments.file import ExperimentFile
from easrec_nni.experiments.search_space_checks import check_search_space
from easrec_nni.trial.tuner_direction import check_direction

__all__ = ["check_space", "check_tuner"]

REHEARSAL_SECONDS = 90.0
ADVICE = "tuners that work here are GridSearch, Random, TPE and Evolution, with the assessor Medianstop"


def check_space(experiment: ExperimentFile) -> str:
    """Check the search space: NNI accepts any, and its tuner dies of an invalid one."""
    space = experiment.search_space
    if space is None:
        return "NNI takes it from the trials' code (useAnnotation): not checked"
    check_search_space(space)
    return ", ".join(f"{name} ({entry['_type']})" for name, entry in space.items()) or "without any hyper-parameter"


def check_tuner(experiment: ExperimentFile) -> str:
    """Check that tuner and assessor maximise, and survive the first trials of this search space.

    Raises
    ------
    UserError
        Tuner or assessor minimises, has an unknown argument, or ends with an error.
    """
    document = experiment.document
    if experiment.runs_this_package:
        check_direction(document)
    tuner, assessor = document.get("tuner") or {}, document.get("assessor") or {}
    name = tuner.get("name")
    if experiment.search_space is None or not name:
        return "a custom tuner, or a search space within the code: not tried"
    try:
        check_search_space(experiment.search_space)
    except UserError:
        return f"{name}: not tried, as the search space is invalid"
    if _is_advisor(str(name)):
        if experiment.runs_this_package:
            raise UserError(f"{name} gives each trial a budget, which trials here do not support: {ADVICE}")
        return f"{name}: not tried, as it needs NNI's manager"
    if not assessor.get("name"):  # a custom assessor
        document = {**document, "assessor": None}
    answer = _rehearse(document)
    if answer is None:
        return f"{name}: it drew no trial within {REHEARSAL_SECONDS:g} seconds, and NNI may wait for it longer"
    if "problem" in answer:
        raise UserError(f"{' or '.join(filter(None, (name, assessor.get('name'))))}: {answer['problem']}; {ADVICE}")
    _check_keys(experiment, answer["parameters"])
    with_assessor = f", with {assessor['name']}" if assessor.get("name") else ""
    return f"{name}{with_assessor}: drew {len(answer['parameters'])} trial(s) from this search space"


def _is_advisor(name: str) -> bool:
    from nni.tools.package_utils import config_manager  # slow; `easrec resume` checks no tuner and needs no NNI

    meta = config_manager.get_algo_meta(name)
    return meta is not None and bool(meta.is_advisor)


def _check_keys(experiment: ExperimentFile, drawn: list[Any]) -> None:
    """Refuse a tuner with keys outside the search space, such as population based training."""
    if not experiment.runs_this_package:
        return
    space = experiment.search_space
    for parameters in drawn:
        added = [key for key in parameters if key not in space] if isinstance(parameters, dict) else []
        if added and added[0] in ("load_checkpoint_dir", "save_checkpoint_dir"):
            raise UserError(f"the tuner gives each trial a {added[0]}, which trials here do not support: {ADVICE}")


def _rehearse(document: dict[str, Any]) -> dict[str, Any] | None:
    """Run :mod:`~easrec_nni.experiments.tuner_rehearsal` in a process; None on a timeout."""
    with TemporaryDirectory(prefix="easrec-") as folder:
        # Some tuners write to these folders, which the manager would set.
        environment = {**os.environ, "NNI_CHECKPOINT_DIRECTORY": folder, "NNI_LOG_DIRECTORY": folder}
        try:
            done = subprocess.run(
                [sys.executable, "-W", "ignore", "-m", "easrec_nni.experiments.tuner_rehearsal"],
                input=json.dumps(document),
                env=environment,
                capture_output=True,
                text=True,
                timeout=REHEARSAL_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return None
    try:
        answer = json.loads(done.stdout.strip().splitlines()[-1])
    except (ValueError, IndexError):
        answer = None
    if not isinstance(answer, dict):
        lines = done.stderr.strip().splitlines()
        return {"problem": f"it ended with exit code {done.returncode}: {lines[-1] if lines else 'no message'}"}
    return answer
