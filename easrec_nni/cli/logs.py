"""Logging, warnings and threads of the commands that train."""

from __future__ import annotations

import logging
import sys
import warnings
from typing import TextIO

from easrec_nni.cli import toolkit

__all__ = ["begin_training_command"]


def begin_training_command(threads: int | None, show: TextIO | None = None) -> bool:
    """Set up logging and threads, and hide the warnings of NNI and Lightning.

    Parameters
    ----------
    threads
        Number of torch's threads; None: one per core.
    show
        Stream for log lines; standard output by default.

    Returns
    -------
    bool
        Whether to show a progress bar, i.e. standard output is a terminal.
    """
    warnings.filterwarnings("ignore", module="nni.*")
    warnings.filterwarnings("ignore", module="pytorch_lightning.*")
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=show or sys.stdout)

    toolkit.use_threads(threads)
    return sys.stdout.isatty()
