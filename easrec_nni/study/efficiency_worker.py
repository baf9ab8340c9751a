"""Worker process that measures one trained network (:mod:`easrec_nni.study.efficiency`).

``python -m easrec_nni.study.efficiency_worker CELL DATASET THREADS USERS`` loads, warms up and writes a line of JSON.
Then it answers each request line (``pass``, ``latency`` or ``memory``) with a line of JSON, until its input ends.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import torch

from easrec_nni.architecture.document import Architecture
from easrec_nni.architecture.weights import load_network
from easrec_nni.bench.memory import peak_memory_bytes
from easrec_nni.bench.worker_process import Answer, answer_stream
from easrec_nni.common.errors import UserError
from easrec_nni.common.run_files import ARCHITECTURE_FILE, RETRAINED_FOLDER, WEIGHTS_FILE
from easrec_nni.data.loading import load_dataset
from easrec_nni.evaluation.inference import ScoringTimer

__all__ = ["main", "serve"]


def serve(
    cell: Path, dataset: str, threads: int, users: int, requests: Iterable[str], answer: Callable[[Answer], None]
) -> None:
    """Load a cell's network and answer requests until there are no more.

    Parameters
    ----------
    cell
        Folder of a cell, with its trained network in ``retrained``.
    dataset
        Path of the prepared dataset.
    threads
        Number of torch's threads in this process.
    users
        Number of users scored one by one.
    requests
        ``pass``: score the test set once. ``latency``: score single users. ``memory``: the peak so far.
    answer
        Function that takes the answers, the first of which is sent after the warm-up.

    Raises
    ------
    UserError
        The cell's files or the dataset cannot be read.
    """
    torch.set_num_threads(threads)
    architecture = Architecture.read(cell / RETRAINED_FOLDER / ARCHITECTURE_FILE)
    timer = ScoringTimer(load_dataset(dataset), architecture.space.max_length, single_users=users)
    baseline = peak_memory_bytes()  # Python, its libraries and the batches: the same for every network
    network = load_network(architecture, cell / RETRAINED_FOLDER / WEIGHTS_FILE)
    timer.pass_seconds(network)
    timer.latencies_ms(network)
    handlers: dict[str, Callable[[], Answer]] = {
        "pass": lambda: _with_processor_time(lambda: timer.pass_seconds(network)),
        "latency": lambda: {"milliseconds": timer.latencies_ms(network)},
        "memory": lambda: {"peak_memory_bytes": peak_memory_bytes()},
    }
    answer(
        {
            "test_users": timer.users,
            "throughput_batch": timer.batch_size,
            "latency_users": len(timer.singles),
            "threads": torch.get_num_threads(),
            "baseline_peak_memory_bytes": baseline,
            "bytes_on_disk": (cell / RETRAINED_FOLDER / WEIGHTS_FILE).stat().st_size,
        }
    )
    for request in requests:
        answer(handlers[request.strip()]())


def _with_processor_time(measure: Callable[[], float]) -> Answer:
    """Wall-clock and processor seconds of a measurement."""
    begin = time.process_time()
    seconds = measure()
    return {"seconds": seconds, "processor_seconds": time.process_time() - begin}


def main(words: list[str]) -> int:
    """Answer requests from standard input; return the exit code."""
    with answer_stream() as answer:
        try:
            serve(Path(words[0]), words[1], int(words[2]), int(words[3]), sys.stdin, answer)
        except UserError as error:
            answer({"error": str(error)})
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
