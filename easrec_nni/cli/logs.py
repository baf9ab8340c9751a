"""Log lines of the commands that train."""

from __future__ import annotations

import logging
import sys
import warnings
from typing import TextIO

from easrec_nni.cli import toolkit

__all__ = ["begin_training_command"]


def begin_training_command(threads: int | None, show: TextIO | None = None) -> bool:
    """Show log lines, hide the warnings of NNI and Lightning that a user can do nothing about, limit threads.

    Parameters
    ----------
    threads
        Of torch; None: one for each core.
    show
        Where log lines go, by default to standard output.

    Returns
    -------
    bool
        Whether a progress bar makes sense: standard output is a terminal.
    """
    warnings.filterwarnings("ignore", module="nni.*")
    warnings.filterwarnings("ignore", module="pytorch_lightning.*")
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=show or sys.stdout)

    toolkit.use_threads(threads)
    return sys.stdout.isatty()
