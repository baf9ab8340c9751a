"""Another process of a retraining: ``python -m easrec_nni.retraining.worker FOLDER NUMBER PROCESSES``."""

from __future__ import annotations

import sys

from easrec_nni.architecture.document import Architecture
from easrec_nni.retraining.stage import take_part_in_retraining
from easrec_nni.settings.trial import TrialSettings
from easrec_nni.training.parallel.launching import Job
from easrec_nni.training.parallel.worker import work


def _take_part(job: Job) -> None:
    assert job["architecture"] is not None
    architecture = Architecture.model_validate_json(job["architecture"])
    settings = TrialSettings.parse(job["settings"], "job")
    take_part_in_retraining(
        architecture,
        job["data"],
        settings,
        job["out"],
        job["weights"],
        job.get("refit_epochs"),
        job.get("refit_through", "valid"),
    )


if __name__ == "__main__":
    sys.exit(work(sys.argv[1:], _take_part))
