"""One measurement in a process of its own: ``python -m easrec_nni.bench.worker NAME REQUEST`` prints a line of JSON."""

from __future__ import annotations

import logging
import sys
import time
import warnings
from typing import Any

from easrec_nni.bench.machine import load_average
from easrec_nni.bench.measurement import Bench, BenchRequest
from easrec_nni.bench.measurements import ALL
from easrec_nni.bench.memory import peak_memory_bytes
from easrec_nni.bench.worker_process import answers
from easrec_nni.common.errors import UserError
from easrec_nni.training.threads import use_threads

__all__ = ["main", "measure"]


def measure(name: str, request: BenchRequest) -> dict[str, Any]:
    """Figures of a measurement, with its time, memory and load.

    Parameters
    ----------
    name
        One of :data:`easrec_nni.bench.measurements.ALL`.
    request
        What is measured.
    """
    threads = use_threads(request.threads)
    before, baseline, begin = load_average(), peak_memory_bytes(), time.perf_counter()
    figures = ALL[name].measure(Bench(request))
    return {
        "figures": figures,
        "took_seconds": time.perf_counter() - begin,
        "peak_memory_bytes": peak_memory_bytes(),
        "baseline_peak_memory_bytes": baseline,
        "threads": threads,
        "load_average": {"before": before, "after": load_average()},
    }


def main(words: list[str]) -> int:
    """Measure what the arguments say; return the exit code."""
    warnings.filterwarnings("ignore")
    logging.disable(logging.WARNING)
    with answers() as answer:
        try:
            answer(measure(words[0], BenchRequest.model_validate_json(words[1])))
        except UserError as error:
            answer({"error": error.message})
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
