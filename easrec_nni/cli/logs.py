"""Log lines of the commands that train."""

from __future__ import annotations

import logging
import sys
import warnings

__all__ = ["begin_training_command"]


def begin_training_command(threads: int | None) -> bool:
    """Show log lines, hide the warnings of NNI and Lightning that a user can do nothing about, limit threads.

    Returns
    -------
    bool
        Whether a progress bar makes sense: standard output is a terminal.
    """
    warnings.filterwarnings("ignore", module="nni.*")
    warnings.filterwarnings("ignore", module="pytorch_lightning.*")
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    from easrec_nni.training import use_threads  # here: `easrec --help` need not wait for torch

    use_threads(threads)
    return sys.stdout.isatty()
