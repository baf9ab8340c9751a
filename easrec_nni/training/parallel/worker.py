"""Worker process of a data-parallel run: the part common to the stages' ``worker.py``.

Started by :mod:`easrec_nni.training.parallel.launching`, which writes ``job.json`` into the folder. It prints a line
when it is ready, does the same work as the first process without writing files, and exits when its standard input
closes, that is, when the first process ends.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
import warnings
from collections.abc import Callable
from pathlib import Path

from easrec_nni.common.files import read_json
from easrec_nni.training.parallel import group
from easrec_nni.training.parallel.launching import Job
from easrec_nni.training.threads import use_threads

__all__ = ["work"]


def _end_with_input() -> None:
    """Exit when the standard input closes: the first process holds its other end."""
    sys.stdin.buffer.read()
    os._exit(1)


def work(arguments: list[str], run: Callable[[Job], None]) -> int:
    """Join the process group and run this process' share of a job: body of a stage's worker.

    Parameters
    ----------
    arguments
        Command-line arguments: folder with ``job.json``, rank of this process, number of processes.
    run
        Function of the stage.
    """
    folder, number, processes = Path(arguments[0]), int(arguments[1]), int(arguments[2])
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to all; the first process ends the others
    threading.Thread(target=_end_with_input, daemon=True).start()
    warnings.filterwarnings("ignore")
    logging.disable(logging.WARNING)
    job: Job = read_json(folder / "job.json")
    use_threads(None)
    print("ready", flush=True)
    os.dup2(2, 1)  # the first process reads only the first line
    group.join(folder, number, processes)
    run(job)
    group.leave()
    return 0
