"""Function calls in a separate process, so that their peak memory can be measured.

``python -m easrec_nni.bench.own_process MODULE NAME THREADS ARGUMENTS`` prints the return value as a line of JSON.
"""

from __future__ import annotations

import importlib
import json
import logging
import sys
import warnings
from collections.abc import Callable, Mapping
from typing import Any

from easrec_nni.bench.machine import Allocator, allocator_environment
from easrec_nni.bench.worker_process import Answer, LineProcess, answer_stream
from easrec_nni.common.errors import UserError
from easrec_nni.training.threads import use_threads

__all__ = ["in_own_process", "main"]


def in_own_process(
    function: Callable[..., Answer], arguments: Mapping[str, Any], threads: int, allocator: Allocator
) -> Answer:
    """Call a function in a fresh process and return its result.

    Parameters
    ----------
    function
        Module-level function, whose result is JSON-serialisable.
    arguments
        Keyword arguments, JSON-serialisable.
    threads
        Number of threads of the process.
    allocator
        See :func:`easrec_nni.bench.machine.allocator_environment`.

    Raises
    ------
    UserError
        The function raised one, or the process failed, most likely out of memory.
    """
    process = LineProcess(
        arguments.get("name") or function.__name__,
        [
            *(sys.executable, "-m", "easrec_nni.bench.own_process"),
            *(function.__module__, function.__name__, str(threads), json.dumps(arguments)),
        ],
        allocator_environment(allocator) | dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS"), str(threads)),
    )
    process.close()
    return process.facts


def main(words: list[str]) -> int:
    """Call the function named by the arguments; return the exit code."""
    module, name, threads, arguments = words
    warnings.filterwarnings("ignore")
    logging.disable(logging.WARNING)
    with answer_stream() as answer:
        use_threads(int(threads))
        try:
            answer(getattr(importlib.import_module(module), name)(**json.loads(arguments)))
        except UserError as error:
            answer({"error": error.message})
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
