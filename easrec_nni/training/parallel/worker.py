"""One of the other processes of a run: ``python -m easrec_nni.training.parallel.worker FOLDER NUMBER PROCESSES``.

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
from pathlib import Path

from easrec_nni.common.files import read_json
from easrec_nni.training.parallel.launching import Job

__all__ = ["main"]


def _end_with_input() -> None:
    """The first process holds the other end: whatever ends it closes this one."""
    sys.stdin.buffer.read()
    os._exit(1)


def _work(job: Job) -> None:
    from easrec_nni.settings.trial import TrialSettings

    settings = TrialSettings.parse(job["settings"], "job")
    if job["stage"] == "search":
        from easrec_nni.searching.stage import take_part_in_search

        take_part_in_search(job["data"], settings, job["out"])
        return
    from easrec_nni.architecture.document import Architecture
    from easrec_nni.retraining.stage import take_part_in_retraining

    assert job["architecture"] is not None
    architecture = Architecture.model_validate_json(job["architecture"])
    take_part_in_retraining(architecture, job["data"], settings, job["out"], job["weights"])


def main(words: list[str]) -> int:
    """Do a job's share."""
    folder, number, processes = Path(words[0]), int(words[1]), int(words[2])
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to all; the first process ends the others
    threading.Thread(target=_end_with_input, daemon=True).start()
    warnings.filterwarnings("ignore")
    logging.disable(logging.WARNING)
    job: Job = read_json(folder / "job.json")
    from easrec_nni.training.parallel import group
    from easrec_nni.training.threads import use_threads

    use_threads(None)
    print("ready", flush=True)
    os.dup2(2, 1)  # nobody reads on
    group.join(folder, number, processes)
    _work(job)
    group.leave()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
