"""Another process of a search: ``python -m easrec_nni.searching.worker FOLDER NUMBER PROCESSES``."""

from __future__ import annotations

import sys

from easrec_nni.searching.stage import take_part_in_search
from easrec_nni.settings.trial import TrialSettings
from easrec_nni.training.parallel.launching import Job
from easrec_nni.training.parallel.worker import work


def _take_part(job: Job) -> None:
    take_part_in_search(job["data"], TrialSettings.parse(job["settings"], "job"), job["out"])


if __name__ == "__main__":
    sys.exit(work(sys.argv[1:], _take_part))
