"""The settings and the dataset that an experiment's trials will ask for."""

from __future__ import annotations

from pathlib import Path

from easrec_nni.common.errors import UserError
from easrec_nni.experiments.drawn_settings import check_drawn_settings
from easrec_nni.experiments.file import ExperimentFile
from easrec_nni.settings.assignments import read_assignments
from easrec_nni.settings.examples import fingerprint_line
from easrec_nni.settings.trial import TrialSettings
from easrec_nni.training.context import TrialContext
from search_spaces import SpaceConfig

__all__ = ["check_settings_and_data", "state_bytes"]

# Copies of the weights, four bytes a number, that a trial leaves: search and retraining each keep the best epoch's, the
# last one's with Adam's two averages, and a result.
COPIES = 2 * (1 + 3 + 1)


def check_settings_and_data(experiment: ExperimentFile) -> str:
    """Check the trial's settings, values that stand for all that can be drawn, and the dataset.

    Raises
    ------
    UserError
        A file is missing or wrong, a hyper-parameter is no key of the settings, or the dataset is not prepared.
    """
    file = experiment.settings_file
    if file is None:
        return "trialCommand is not this package's trial: not checked"
    settings = _settings(experiment, file)
    if experiment.platform != "local":
        left_out = check_drawn_settings(experiment, settings)
        return (
            f"{file} is well{left_out}; each worker must have the dataset {settings.data!r}, "
            f"{_fingerprint_hint(settings, file)}"
        )
    try:
        dataset = settings.dataset(beside=experiment.code_directory)
    except UserError:
        check_drawn_settings(experiment, settings)  # what is wrong in the file comes before a download
        raise
    left_out = check_drawn_settings(experiment, settings, dataset)
    return f"{dataset.name}: {dataset.n_users} users, {dataset.n_items} items, in {dataset.path}{left_out}"


def _fingerprint_hint(settings: TrialSettings, file: Path) -> str:
    """Whether trials elsewhere notice another dataset of the same name, and how to make them."""
    if settings.data_fingerprint:
        return f"of which a trial checks the fingerprint {settings.data_fingerprint[:12]} when it starts"
    try:
        line = f"the line `{fingerprint_line(settings.dataset())}`"
    except UserError:
        line = "data_fingerprint, which `easrec init --data NAME` writes,"
    return f"any of that name: with {line} in {file.name} a trial refuses another one"


def state_bytes(experiment: ExperimentFile) -> int:
    """Bytes that one trial's checkpoints and weights take; 0 where settings or data do not say it."""
    try:
        if experiment.settings_file is None or experiment.platform != "local":
            return 0
        space = _space(experiment, _settings(experiment, experiment.settings_file))
    except UserError:
        return 0
    embeddings = (space.n_items + 1 + space.max_length) * space.hidden
    # A block has four square matrices of attention and two of the feed-forward part; gates and norms are small.
    blocks = space.layers * (4 * space.hidden**2 + 2 * space.hidden * space.inner)
    candidates = len(space.candidates) if space.supernet == "independent" else 1
    return 4 * COPIES * (embeddings + candidates * blocks)


def _settings(experiment: ExperimentFile, file: Path) -> TrialSettings:
    """Settings of a file with what ``trialCommand`` puts over them."""
    return TrialSettings.read(file).with_parameters(read_assignments(experiment.settings_changes))


def _space(experiment: ExperimentFile, settings: TrialSettings) -> SpaceConfig:
    """Space over the dataset, which is looked for from where trials start."""
    return TrialContext.open(settings, settings.dataset(beside=experiment.code_directory)).space
