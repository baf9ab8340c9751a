"""Worker process of a data-parallel search.

Usage: ``python -m easrec_nni.searching.worker FOLDER NUMBER PROCESSES``.
"""

from __future__ import annotations

import sys

from easrec_nni.searching.stage import search_worker
from easrec_nni.training.parallel.worker import work

if __name__ == "__main__":
    sys.exit(work(sys.argv[1:], search_worker))
