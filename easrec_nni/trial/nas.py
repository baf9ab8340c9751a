"""NNI's ``NasExperiment`` over EASRec's space: each drawn architecture is a trial.

This module works around three problems of NNI 3.0:

1. A space built from an object, such as our ``SpaceConfig``, is sent to the trials as a pickle within their parameters.
   :class:`DescribedSpace` is built from plain values.
2. The web UI reads an architecture's choices from ``mutation_summary``, where NNI 3.0 no longer writes them, and shows
   the whole space instead. :class:`ShownModelSpace` writes them there.
3. NNI's engine would build the network for an evaluator. :class:`ArchitectureEvaluator` needs only the choices, so that
   these trials use the same retraining as all others.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import nni
import torch
from nni.nas.evaluator import Evaluator
from nni.nas.experiment import NasExperiment, NasExperimentConfig
from nni.nas.space import ExecutableModelSpace, SimplifiedModelSpace

from easrec_nni.common.errors import UserError
from easrec_nni.common.run_files import ARCHITECTURE_FILE
from easrec_nni.settings.trial import TrialSettings
from easrec_nni.training.context import TrialContext
from easrec_nni.training.threads import use_threads
from easrec_nni.trial.nni_io import output_dir, report_final, trial_threads
from easrec_nni.trial.reports import EpochReports
from easrec_nni.trial.run import TrialResult, stage_result
from easrec_nni.trial.stages import run_stages
from easrec_nni.trial.unpruned import unpruned_root
from search_spaces import EASRecSpace, SpaceConfig
from strategies import MULTI_TRIAL_STRATEGIES

__all__ = ["ArchitectureEvaluator", "DescribedSpace", "ShownModelSpace", "nas_experiment", "run_architecture_trial"]


class DescribedSpace(EASRecSpace):
    """EASRec's space, built from the plain fields of a ``SpaceConfig``."""

    def __init__(self, **fields: Any) -> None:
        super().__init__(SpaceConfig(**fields))


class ShownModelSpace(SimplifiedModelSpace):
    """NNI's simplified model space, with samples that the web UI shows as parameters."""

    def _dump(self) -> dict[str, Any]:
        document = super()._dump()
        return {"mutation_summary": document["sample"], **document} if "sample" in document else document

    @classmethod
    def _load(cls, **attributes: Any) -> SimplifiedModelSpace:
        attributes.pop("mutation_summary", None)
        return super()._load(**attributes)


@nni.trace
class ArchitectureEvaluator(Evaluator):
    """Evaluator that runs the trial of one architecture.

    Parameters
    ----------
    settings
        Trial settings as a document of plain values.
    """

    def __init__(self, settings: dict[str, Any]) -> None:
        super().__init__()
        self.settings = settings

    def _execute(self, model: Any) -> float:
        """Run the trial; return the objective's value. Called by NNI."""
        logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", stream=sys.stdout)
        use_threads(trial_threads())
        out = output_dir("trial")
        out.mkdir(parents=True, exist_ok=True)
        try:
            result = run_architecture_trial(TrialSettings.parse(self.settings, "settings"), model.sample, out)
        except UserError as error:  # NNI shows the end of stderr as the reason of a failure
            print(f"error: {error.message}", file=sys.stderr)
            raise SystemExit(2) from None
        return float(result.report["default"])


class _Experiment(NasExperiment):
    """``NasExperiment`` with samples that the web UI shows."""

    def executable_model_factory(self, config: Any) -> ExecutableModelSpace:
        return ShownModelSpace.from_model(self.model_space, self.evaluator)


def nas_experiment(context: TrialContext, strategy: str, trials: int, concurrency: int, name: str) -> NasExperiment:
    """Create an experiment; see :func:`~easrec_nni.experiments.nas.search_architectures`.

    Parameters
    ----------
    context
        Space and settings, with an absolute path of the dataset.
    strategy
        Name in :data:`~strategies.multi_trial.MULTI_TRIAL_STRATEGIES`.
    trials, concurrency
        Largest number of architectures in all, and at a time.
    name
        Name in the web UI.
    """
    with torch.device("meta"):  # only the choices are needed, no weights
        described = DescribedSpace(**context.space.model_dump(mode="json", exclude_defaults=True))
    evaluator = ArchitectureEvaluator(context.settings.model_dump(mode="json", by_alias=True))
    exploration = MULTI_TRIAL_STRATEGIES[strategy](context.settings.seed)
    config = NasExperimentConfig("ts", "simplified", "local")
    config.experiment_name = name
    config.max_trial_number = trials
    config.trial_concurrency = concurrency
    config.trial_code_directory = Path.cwd()
    return _Experiment(described, evaluator, exploration, config)


def run_architecture_trial(settings: TrialSettings, sample: Mapping[str, Any], out: Path) -> TrialResult:
    """Train one architecture from fresh weights and report it to NNI.

    Result and folder have the keys and files of a trial with a search, but no supernet.

    Parameters
    ----------
    settings
        Settings of space, retraining, mode, seed and objective; those of the search are not used.
    sample
        Sample of an NNI strategy: ``{"pruning": "hidden25_inner50", "depth": 2}``.
    out
        Folder for the results.
    """
    context = TrialContext.open(settings)
    architecture = context.architecture(context.space.choice(dict(sample)))
    architecture.write(out / ARCHITECTURE_FILE)
    reports = EpochReports.of(context, out)
    results = run_stages(
        context,
        out,
        reports.epoch,
        architecture=architecture,
        unpruned_root=unpruned_root(out),
        on_architecture=reports.begin_retraining,
    )
    reports.close()
    report = stage_result(context, results, out)
    report_final(report)
    return TrialResult(out, report)
