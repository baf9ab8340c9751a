"""Checks of an experiment's settings file and dataset."""

from __future__ import annotations

from pathlib import Path

from easrec_nni.architecture.latency import LatencyFile
from easrec_nni.common.errors import UserError
from easrec_nni.experiments.drawn_settings import check_drawn_settings
from easrec_nni.experiments.file import ExperimentFile
from easrec_nni.settings.assignments import read_assignments
from easrec_nni.settings.examples import fingerprint_line
from easrec_nni.settings.trial import TrialSettings
from search_spaces import SpaceConfig

__all__ = ["check_settings_and_data", "state_bytes"]

# Copies of the weights (four bytes per number) that a trial leaves: search and retraining each keep the best epoch's,
# the last checkpoint's with Adam's two averages, and the result's.
COPIES = 2 * (1 + 3 + 1)


def check_settings_and_data(experiment: ExperimentFile) -> str:
    """Check the trials' settings with representative hyper-parameters, and the dataset.

    Raises
    ------
    UserError
        A file is missing or invalid, a hyper-parameter is not a key of the settings, or the dataset is not prepared.
    """
    file = experiment.settings_file
    if file is None:
        return "trialCommand is not this package's trial: not checked"
    settings = _settings(experiment, file)
    if experiment.platform != "local":
        left_out = check_drawn_settings(experiment, settings)
        return (
            f"{file} is valid{left_out}; every worker needs the dataset {settings.data!r}, "
            f"{_fingerprint_hint(settings, file)}"
        )
    try:
        dataset = settings.dataset(beside=experiment.code_directory)
    except UserError:
        check_drawn_settings(experiment, settings)  # report problems of the file before those of the dataset
        raise
    left_out = check_drawn_settings(experiment, settings, dataset)
    if settings.search.latency_file is not None:
        LatencyFile.read(experiment.code_directory / settings.search.latency_file, settings.space_for(dataset))
    teacher = settings.retrain.teacher
    if teacher is not None and not (experiment.code_directory / Path(teacher).expanduser()).exists():
        raise UserError(
            f"{file}: retrain.teacher: there is no {teacher} in {experiment.code_directory}, where the trials run: "
            "give the path of a run folder, an ONNX file or a table of scores"
        )
    return f"{dataset.name}: {dataset.n_users} users, {dataset.n_items} items, in {dataset.path}{left_out}"


def _fingerprint_hint(settings: TrialSettings, file: Path) -> str:
    """Text on whether remote trials check the dataset's fingerprint, and how to make them."""
    if settings.data_fingerprint:
        return f"whose fingerprint {settings.data_fingerprint[:12]} a trial checks when it starts"
    try:
        line = f"the line `{fingerprint_line(settings.dataset())}`"
    except UserError:
        line = "data_fingerprint, which `easrec init --data NAME` writes,"
    return f"any of that name: with {line} in {file.name} a trial refuses another one"


def state_bytes(experiment: ExperimentFile) -> int:
    """Size in bytes of a trial's checkpoints and weights; 0 if settings or data are unavailable."""
    try:
        if experiment.settings_file is None or experiment.platform != "local":
            return 0
        space = _space(experiment, _settings(experiment, experiment.settings_file))
    except UserError:
        return 0
    embeddings = (space.n_items + 1 + space.max_length) * space.hidden
    # Per block: four square matrices of attention, two of the feed-forward network; gates and norms are small.
    blocks = space.layers * (4 * space.hidden**2 + 2 * space.hidden * space.inner)
    candidates = len(space.candidates) if space.supernet == "independent" else 1
    return 4 * COPIES * (embeddings + candidates * blocks)


def _settings(experiment: ExperimentFile, file: Path) -> TrialSettings:
    """Settings of a file, with the ``--set`` options of ``trialCommand``."""
    return TrialSettings.read(file).with_parameters(read_assignments(experiment.settings_changes))


def _space(experiment: ExperimentFile, settings: TrialSettings) -> SpaceConfig:
    """Space over the dataset, whose path is relative to the trials' code directory."""
    dataset = settings.dataset(beside=experiment.code_directory)
    dataset.check_trainable()
    return settings.space_for(dataset)  # not a TrialContext, which imports torch
