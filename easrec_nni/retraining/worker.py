"""Worker process of a data-parallel retraining.

Usage: ``python -m easrec_nni.retraining.worker FOLDER NUMBER PROCESSES``.
"""

from __future__ import annotations

import sys

from easrec_nni.retraining.stage import retraining_worker
from easrec_nni.training.parallel.worker import work

if __name__ == "__main__":
    sys.exit(work(sys.argv[1:], retraining_worker))
