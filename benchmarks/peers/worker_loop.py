"""What every worker does: read requests, measure, answer. Needs Python's own library and the given torch alone.

A request is a JSON object whose ``do`` names what to do; the rest are arguments. Every worker knows ``memory``; which
others it knows is its own affair:

* ``pass`` (``batch``): score the test users once, the batches being ready in memory,
* ``batches`` (``count``, ``warmup``): so many training batches,
* ``epoch``: one training epoch,
* ``scores`` (``part``, ``file``): write ``[E, n_items + 1]`` float32 for the evaluated users, columns by our numbers,
* ``save``, ``load`` (``file``): everything that training needs to go on.
"""

from __future__ import annotations

import json
import platform
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from importlib.metadata import version
from itertools import islice
from typing import Any

from easrec_nni.bench.memory import peak_memory_bytes
from easrec_nni.bench.repeats import timed
from easrec_nni.bench.worker_process import Answer, answer_stream

__all__ = ["Handlers", "Watched", "answer_requests", "handlers_of", "timed", "versions_of"]

Handlers = Mapping[str, Callable[..., Answer]]

METHODS = {"pass": "score_pass", "batches": "train_batches"}
"""What answers a request, where it cannot or should not have the request's own name."""


def handlers_of(system: object) -> Handlers:
    """What a system answers requests with: those of its methods that stand for one."""
    requests = {name: METHODS.get(name, name) for name in ("pass", "batches", "epoch", "scores", "save", "load")}
    return {name: getattr(system, method) for name, method in requests.items() if hasattr(system, method)}


class Watched:
    """The first batches of a loader; the time from each batch's request to the next one's is what it took.

    Parameters
    ----------
    loader
        Gives batches.
    count
        How many to hand out.
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
        """Of each batch that was handed out and asked beyond."""
        return [end - begin for begin, end in zip(self.readings, self.readings[1:], strict=False)]


def versions_of(*packages: str) -> dict[str, str]:
    """Versions of Python and of packages of this environment."""
    return {"python": platform.python_version()} | {name: version(name) for name in packages}


def answer_requests(load: Callable[[dict[str, Any]], tuple[Answer, Handlers]], words: list[str]) -> int:
    """Load a system as the first word, a JSON object, says; answer standard input; return the exit code.

    Parameters
    ----------
    load
        Gives what to say of the system, and its handlers by the requests' names.
    words
        The program's arguments.
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
        except Exception as error:  # whatever a peer raises: the driver names it
            answer({"error": f"{type(error).__name__}: {error}"})
            raise
    return 0
