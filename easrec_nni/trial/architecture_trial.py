"""A trial on one given architecture: train it as a network of its own, evaluate it, report it like any other trial."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from easrec_nni.architecture.document import Architecture, DatasetReference
from easrec_nni.settings.trial import TrialSettings
from easrec_nni.trial.nni_io import report_final, tensorboard_dir
from easrec_nni.trial.objective import Objective
from easrec_nni.trial.reports import EpochReports
from easrec_nni.trial.run import TrialResult, final_result

__all__ = ["run_architecture_trial"]


def run_architecture_trial(settings: TrialSettings, sample: Mapping[str, Any], out: Path) -> TrialResult:
    """Train one architecture from fresh weights and report it to NNI.

    The result has the keys, and the folder the files, of a trial that searched; there is no supernet.

    Parameters
    ----------
    settings
        Space, retraining, mode, seed and objective; the search's part is not used.
    sample
        Choices as NNI's strategies name them: ``{"pruning": "hidden25_inner50", "depth": 2}``.
    out
        Folder of the results.
    """
    dataset = settings.dataset()
    space = settings.space_for(dataset)
    from easrec_nni.architecture.cost import architecture_cost
    from easrec_nni.common.provenance import package_versions
    from easrec_nni.retraining.stage import retrain
    from easrec_nni.training.recorded import recorded_training

    choice = space.choice(dict(sample))
    architecture = Architecture(
        choices=choice,
        space=space,
        dataset=DatasetReference.of(dataset),
        training=recorded_training(settings),
        cost=architecture_cost(space, choice).as_dict(),
        versions=package_versions(),
        seed=settings.seed,
    )
    architecture.write(out / "architecture.json")
    reports = EpochReports(tensorboard_dir(out), Objective.of(settings, space), choice.model_dump(mode="json"))
    if reports.board is not None:
        reports.board.network(architecture)
    trained = retrain(
        architecture, dataset, out / "retrained", settings=settings, on_epoch=lambda row: reports.epoch("retrain", row)
    )
    reports.close()
    seconds = trained.metrics["training"]["seconds"]
    report = final_result(
        trained.metrics, settings, space, architecture, out, search_seconds=0.0, retrain_seconds=seconds
    )
    report_final(report)
    return TrialResult(out, report)
