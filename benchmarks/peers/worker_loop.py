"""Request loop of every worker: read, measure, answer. Needs only the standard library.

A request is a JSON object whose ``do`` names the action; the rest are arguments. Every worker supports ``memory``, and
some of these:

* ``pass`` (``batch``): score the test users once, the batches being ready in memory,
* ``batches`` (``count``, ``warmup``): a number of training batches,
* ``epoch``: one training epoch,
* ``scores`` (``part``, ``file``): write ``[E, n_items + 1]`` float32 for the evaluated users, columns by our numbers,
* ``save``, ``load`` (``file``): the whole training state.
"""

from __future__ import annotations

import json
import platform
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from importlib.metadata import version
from itertools import islice, pairwise
from typing import Any

from easrec_nni.bench.memory import peak_memory_bytes
from easrec_nni.bench.repeats import timed
from easrec_nni.bench.worker_process import Answer, answer_stream

__all__ = ["Handlers", "TimedBatches", "answer_requests", "handlers_of", "timed", "versions_of"]

Handlers = Mapping[str, Callable[..., Answer]]

METHODS = {"pass": "score_pass", "batches": "train_batches"}
"""Method that handles a request, where it is not named after the request."""


def handlers_of(system: object) -> Handlers:
    """Request handlers of a system, by request: those of its methods that match one."""
    requests = {name: METHODS.get(name, name) for name in ("pass", "batches", "epoch", "scores", "save", "load")}
    return {name: getattr(system, method) for name, method in requests.items() if hasattr(system, method)}


class TimedBatches:
    """First batches of a loader, with the time from each batch's request to the next one's.

    Parameters
    ----------
    loader
        Loader of the batches.
    count
        Number of batches, all by default.
    """

    def __init__(self, loader: Iterable[Any], count: int | None = None) -> None:
        self.loader, self.count = loader, count
        self.readings: list[float] = []

    def __iter__(self) -> Iterator[Any]:
        self.readings = [time.perf_counter()]
        for batch in islice(iter(self.loader), self.count):
            yield batch
            self.readings.append(time.perf_counter())

    def seconds(self) -> list[float]:
        """Seconds of each batch after which the next was requested."""
        return [end - begin for begin, end in pairwise(self.readings)]


def versions_of(*packages: str) -> dict[str, str]:
    """Versions of Python and of packages in this environment."""
    return {"python": platform.python_version()} | {name: version(name) for name in packages}


def answer_requests(load: Callable[[dict[str, Any]], tuple[Answer, Handlers]], words: list[str]) -> int:
    """Load a system, answer requests from standard input, and return the exit code.

    Parameters
    ----------
    load
        Function that loads the system described by the first argument, a JSON object; returns its facts and handlers.
    words
        Command-line arguments.
    """
    with answer_stream() as answer:
        try:
            facts, handlers = load(json.loads(words[0]))
            answer(facts)
            for line in sys.stdin:
                request = json.loads(line)
                name = request.pop("do")
                if name == "memory":
                    answer({"peak_memory_bytes": peak_memory_bytes()})
                else:
                    answer(handlers[name](**request))
        except Exception as error:  # any error of a peer is reported by the driver
            answer({"error": f"{type(error).__name__}: {error}"})
            raise
    return 0
