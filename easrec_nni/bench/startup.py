"""How long a command takes before it does anything: processes that start, beside one that imports torch alone."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from easrec_nni.architecture.cost import architecture_cost
from easrec_nni.architecture.document import Architecture
from easrec_nni.bench.measurement import Bench, Figures, Measurement
from easrec_nni.bench.repeats import ratio, spread

__all__ = ["MEASUREMENT", "PROGRAMS", "start_up", "write_inputs"]

TORCH = "import torch"
COMMAND = ("-m", "easrec_nni.cli.main")
PROGRAMS: dict[str, tuple[str, ...]] = {
    TORCH: ("-c", "import torch"),
    "import search_spaces": ("-c", "import search_spaces"),
    "easrec --version": (*COMMAND, "--version"),
    "easrec --help": (*COMMAND, "--help"),
    "easrec systems": (*COMMAND, "systems"),
    "easrec init": (*COMMAND, "init", "--force", "examples"),
    "easrec show FILE": (*COMMAND, "show", "architecture.json"),
    "easrec recommend --help": (*COMMAND, "recommend", "--help"),
    "easrec prepare FILE": (*COMMAND, "prepare", "log.csv", "--force", "--out", "prepared"),
    "easrec report FILE": (*COMMAND, "report", "results.json"),
}
"""Arguments of Python by what they start, in a folder that :func:`write_inputs` has filled."""
QUICK = (TORCH, "easrec systems")


class Start(NamedTuple):
    """What a process took from its start to its end."""

    seconds: float
    processor_seconds: float


Starts = dict[tuple[str, str], list[Start | None]]


def write_inputs(folder: Path, architecture: Architecture) -> None:
    """Write the small files that the commands read: an architecture, a log of 200 users, a result of one trial."""
    architecture.write(folder / "architecture.json")
    rows = [f"u{user},i{(user * 7 + step) % 60},{step}" for user in range(200) for step in range(10)]
    (folder / "log.csv").write_text("user,item,time\n" + "\n".join(rows) + "\n", encoding="utf-8")
    (folder / "results.json").write_text('{"default": 0.1, "lambda": 0.1}\n', encoding="utf-8")


def start_up(places: Mapping[str, Path], programs: Sequence[str], repeats: int) -> dict[str, dict[str, Figures]]:
    """Start every program in turns, once more than is counted.

    Parameters
    ----------
    places
        Folders to start in, by name; ``PYTHONPATH`` of each is the tree that ``tree`` in it leads to, if it is there.
    programs
        Names among :data:`PROGRAMS`.
    repeats
        Turns that count.

    Returns
    -------
    dict
        By place and program: ``seconds`` and ``processor_seconds`` as median and range, and
        ``share_of_import_torch``, of the processor's seconds of the same turn. A program that fails has
        ``failed`` alone.
    """
    runs: Starts = {}
    for _ in range(1 + repeats):
        for name in programs:
            for place, folder in places.items():
                runs.setdefault((place, name), []).append(_started(folder, PROGRAMS[name]))
    return {place: {name: _figures(runs, place, name) for name in programs} for place in places}


def _started(folder: Path, words: Sequence[str]) -> Start | None:
    """Start a process and wait for it; None if it fails."""
    environment, tree = dict(os.environ), folder / "tree"
    if tree.exists():
        environment["PYTHONPATH"] = str(tree.resolve())
    begin = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, *words], cwd=folder, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)  # it is waited for already
    seconds = time.perf_counter() - begin
    return None if process.returncode else Start(seconds, usage.ru_utime + usage.ru_stime)


def _figures(runs: Starts, place: str, name: str) -> Figures:
    counted = [each for each in runs[place, name][1:] if each is not None]
    torch = [each for each in runs[place, TORCH][1:] if each is not None]
    if len(counted) < len(torch):
        return {"failed": True}
    return {
        **{field: spread([getattr(each, field) for each in counted]) for field in Start._fields},
        "share_of_import_torch": ratio(
            [each.processor_seconds for each in counted], [each.processor_seconds for each in torch]
        ),
    }


def _measure(bench: Bench) -> Figures:
    space = bench.space
    costs = {
        "cost": architecture_cost(space, space.largest).as_dict(),
        "unpruned_cost": architecture_cost(space, space.largest).as_dict(),
    }
    with tempfile.TemporaryDirectory() as folder:
        write_inputs(Path(folder), Architecture(choices=space.largest, space=space, **costs))
        names = QUICK if bench.request.quick else tuple(PROGRAMS)
        return start_up({"here": Path(folder)}, names, bench.repeats)["here"]


MEASUREMENT = Measurement("startup", "starting a command, beside a process that imports torch alone", _measure)
