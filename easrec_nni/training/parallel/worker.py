"""One of the other processes of a run: what the ``worker.py`` of each stage has in common.

Started by :mod:`easrec_nni.training.parallel.launching`, which puts ``job.json`` into the folder. It says on its
standard output that it is there, does what the first process does but writes nothing, and ends with its input: with the
first process.
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
    """The first process holds the other end: whatever ends it closes this one."""
    sys.stdin.buffer.read()
    os._exit(1)


def work(words: list[str], run: Callable[[Job], None]) -> int:
    """Join the first process and do a job's share; the body of a stage's worker program.

    Parameters
    ----------
    words
        Folder with ``job.json``, number of this process, number of processes.
    run
        The stage's function.
    """
    folder, number, processes = Path(words[0]), int(words[1]), int(words[2])
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to all; the first process ends the others
    threading.Thread(target=_end_with_input, daemon=True).start()
    warnings.filterwarnings("ignore")
    logging.disable(logging.WARNING)
    job: Job = read_json(folder / "job.json")
    use_threads(None)
    print("ready", flush=True)
    os.dup2(2, 1)  # nobody reads on
    group.join(folder, number, processes)
    run(job)
    group.leave()
    return 0
