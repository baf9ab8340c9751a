"""Check of settings with hyper-parameters that a tuner can draw."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from easrec_nni.common.errors import UserError
from easrec_nni.data.dataset import Dataset
from easrec_nni.experiments.file import ExperimentFile
from easrec_nni.experiments.search_space_checks import check_search_space, representative_values
from easrec_nni.settings.trial import TrialSettings

__all__ = ["check_drawn_settings"]

MOST_COMBINATIONS = 300
ITEMS = 1000  # assumed size of a dataset on another machine


@dataclass(frozen=True)
class _Trials:
    """Trials of an experiment: their settings, dataset (None: on another machine) and folder."""

    settings: TrialSettings
    dataset: Dataset | None
    folder: Path

    def refusal(self, parameters: Any) -> str:
        """Reason why a trial cannot run with these parameters; empty if it can."""
        if not isinstance(parameters, dict):
            return f"{parameters!r} is not a set of hyper-parameters, such as `{{lambda: 0.1, seed: 1}}`"
        try:
            drawn = self.settings.with_parameters(parameters)
            if self.dataset is not None:
                dataset = drawn.dataset(beside=self.folder) if "data" in parameters else self.dataset
                drawn.space_for(dataset)
                self._check_budget(drawn, dataset)
            elif drawn.space.get("features", "none") == "none":
                drawn.space_for(ITEMS)
        except UserError as error:
            return error.message
        return ""

    def _check_budget(self, drawn: TrialSettings, dataset: Dataset) -> None:
        """Raise if no architecture of the space meets the budget."""
        if drawn.search.budget is None:
            return
        from easrec_nni.searching.costs import check_budget  # imports torch, needed for a budget alone
        from easrec_nni.training.context import TrialContext  # imports torch, needed for a budget alone

        if drawn.search.latency_file is not None:
            drawn = drawn.with_parameters({"search.latency_file": str(self.folder / drawn.search.latency_file)})
        check_budget(TrialContext.open(drawn, dataset))


def check_drawn_settings(experiment: ExperimentFile, settings: TrialSettings, dataset: Dataset | None = None) -> str:
    """Try representative values of the search space; return a note on failing combinations.

    All combinations of a small space are tried, and each single value of a large one.

    Parameters
    ----------
    experiment
        Experiment with a search space; an invalid search space is left to another check.
    settings
        Settings of the trials.
    dataset
        Dataset of the trials; without it, as for trials on other machines, shapes are checked as far as possible.

    Raises
    ------
    UserError
        No trial could run with a value; the message names its key.
    """
    space = experiment.search_space
    trials = _Trials(settings, dataset, experiment.code_directory)
    base_refusal = trials.refusal({})  # of the settings without hyper-parameters
    try:
        check_search_space(space)
    except UserError:
        space = {}
    if base_refusal and not space:
        raise UserError(base_refusal)
    values = {name: representative_values(entry) for name, entry in space.items()}
    if str((experiment.document.get("tuner") or {}).get("name")).lower() in ("batch", "batchtuner"):
        batch = next(iter(values.values()), [])  # complete sets of hyper-parameters
        return _failing_combinations([trials.refusal(parameters) for parameters in batch])
    for name, listed in values.items():
        for value in listed:
            # A value that is invalid by itself may be valid in a combination, such as a history of another mode.
            refusal = trials.refusal({name: value})
            if refusal and not _fits_somewhere(trials, values, name, value):
                raise UserError(refusal if refusal == base_refusal else f"searchSpace, {name}: {refusal}")
    return _failing_combinations([trials.refusal(parameters) for parameters in _combinations(values)])


def _combinations(values: dict[str, list[Any]]) -> list[dict[str, Any]]:
    """All combinations of a small space; an empty list for a large one."""
    if math.prod(map(len, values.values())) > MOST_COMBINATIONS:
        return []
    return [dict(zip(values, combination, strict=True)) for combination in itertools.product(*values.values())]


def _fits_somewhere(trials: _Trials, values: dict[str, list[Any]], name: str, value: Any) -> bool:
    combinations = _combinations({**values, name: [value]})
    return any(not trials.refusal(parameters) for parameters in combinations)


def _failing_combinations(refusals: list[str]) -> str:
    """Note on the combinations that will fail; raise if all will."""
    reasons = [refusal for refusal in refusals if refusal]
    if not reasons:
        return ""
    if len(reasons) == len(refusals):
        raise UserError(f"searchSpace: none of its combinations can run; the first fails with: {reasons[0]}")
    return f"; {len(reasons)} of {len(refusals)} combinations will fail, the first with: {reasons[0]}"
