"""Settings that a tuner can draw, tried before an experiment starts: a trial that they end should never begin."""

from __future__ import annotations

import itertools
import math
from typing import Any

from easrec_nni.common.errors import UserError
from easrec_nni.data.dataset import Dataset
from easrec_nni.experiments.file import ExperimentFile
from easrec_nni.experiments.search_space_checks import check_search_space, drawn_values
from easrec_nni.settings.trial import TrialSettings

__all__ = ["check_drawn_settings"]

MOST_COMBINATIONS = 300
ITEMS = 1000  # of a dataset that is on another machine


def check_drawn_settings(experiment: ExperimentFile, settings: TrialSettings, dataset: Dataset | None = None) -> str:
    """Put values that stand for all of the search space into the settings; words on combinations that they refuse.

    Of a small space all combinations are tried, of a large one each value by itself.

    Parameters
    ----------
    experiment
        With its search space; one that breaks NNI's rules is another check's to refuse.
    settings
        Of its trials.
    dataset
        What the network is for; without it, as for trials on other machines, its shape is checked where that needs no
        dataset.

    Raises
    ------
    UserError
        A value that no trial could run with, by key and value.
    """
    space = experiment.search_space
    alone = _refusal(settings, dataset, {})  # of a trial without hyper-parameters
    try:
        check_search_space(space)
    except UserError:
        space = {}
    if alone and not space:
        raise UserError(alone)
    values = {name: drawn_values(entry) for name, entry in space.items()}
    if str((experiment.document.get("tuner") or {}).get("name")).lower() in ("batch", "batchtuner"):
        return _refused_in_part([_refusal(settings, dataset, each) for each in next(iter(values.values()), [])])
    for name, listed in values.items():
        for value in listed:
            # What is wrong by itself may be right beside the others, such as a history of another mode.
            refusal = _refusal(settings, dataset, {name: value})
            if refusal and not _fits_somewhere(settings, dataset, values, name, value):
                raise UserError(refusal if refusal == alone else f"searchSpace, {name}: {refusal}")
    return _refused_in_part([_refusal(settings, dataset, each) for each in _combinations(values)])


def _combinations(values: dict[str, list[Any]]) -> list[dict[str, Any]]:
    """All combinations of a small space; none of a large one."""
    if math.prod(map(len, values.values())) > MOST_COMBINATIONS:
        return []
    return [dict(zip(values, each, strict=True)) for each in itertools.product(*values.values())]


def _fits_somewhere(
    settings: TrialSettings, dataset: Dataset | None, values: dict[str, list[Any]], name: str, value: Any
) -> bool:
    return any(not _refusal(settings, dataset, each) for each in _combinations({**values, name: [value]}))


def _refusal(settings: TrialSettings, dataset: Dataset | None, parameters: Any) -> str:
    """Why a trial could not run with these parameters; empty if it could."""
    if not isinstance(parameters, dict):
        return f"{parameters!r} is no set of hyper-parameters, such as `{{lambda: 0.1, seed: 1}}`"
    try:
        drawn = settings.with_parameters(parameters)
        if dataset is not None:
            drawn.space_for(dataset)
        elif drawn.space.get("features", "none") == "none":
            drawn.space_for(ITEMS)
    except UserError as error:
        return error.message
    return ""


def _refused_in_part(refusals: list[str]) -> str:
    """Words on combinations that cannot run; refuses if none can."""
    wrong = [refusal for refusal in refusals if refusal]
    if not wrong:
        return ""
    if len(wrong) == len(refusals):
        raise UserError(f"searchSpace: none of its combinations can run; of the first: {wrong[0]}")
    return f"; {len(wrong)} of {len(refusals)} combinations will fail, of which the first: {wrong[0]}"
