"""Start-up time of commands, relative to a process that only imports torch."""

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
from easrec_nni.common.run_files import ARCHITECTURE_FILE

__all__ = ["MEASUREMENT", "PROGRAMS", "time_programs", "write_inputs"]

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
"""Python's arguments by program, run in a folder filled by :func:`write_inputs`."""
QUICK = (TORCH, "easrec systems")


class ProcessTime(NamedTuple):
    """Wall-clock and processor time of a whole process."""

    seconds: float
    processor_seconds: float


ProcessTimes = dict[tuple[str, str], list[ProcessTime | None]]


def write_inputs(folder: Path, architecture: Architecture) -> None:
    """Write small input files for the commands: an architecture, a log, results of one trial."""
    architecture.write(folder / ARCHITECTURE_FILE)
    rows = [f"u{user},i{(user * 7 + step) % 60},{step}" for user in range(200) for step in range(10)]
    (folder / "log.csv").write_text("user,item,time\n" + "\n".join(rows) + "\n", encoding="utf-8")
    (folder / "results.json").write_text('{"default": 0.1, "lambda": 0.1}\n', encoding="utf-8")


def time_programs(places: Mapping[str, Path], programs: Sequence[str], repeats: int) -> dict[str, dict[str, Figures]]:
    """Time programs in alternation, after a warm-up.

    Parameters
    ----------
    places
        Working folders by name; a link ``tree`` in one sets ``PYTHONPATH``.
    programs
        Names from :data:`PROGRAMS`.
    repeats
        Number of turns, warm-up excluded.

    Returns
    -------
    dict
        By place and program: ``seconds`` and ``processor_seconds`` as median and range, and
        ``share_of_import_torch``, the ratio of processor times within a turn. A program that fails has only
        ``failed``.
    """
    runs: ProcessTimes = {}
    for _ in range(1 + repeats):
        for name in programs:
            for place, folder in places.items():
                runs.setdefault((place, name), []).append(_time_process(folder, PROGRAMS[name]))
    return {place: {name: _figures(runs, place, name) for name in programs} for place in places}


def _time_process(folder: Path, words: Sequence[str]) -> ProcessTime | None:
    """Run a process and time it; None if it fails."""
    environment, tree = dict(os.environ), folder / "tree"
    if tree.exists():
        environment["PYTHONPATH"] = str(tree.resolve())
    begin = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, *words], cwd=folder, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)  # wait4 has already reaped it
    seconds = time.perf_counter() - begin
    return None if process.returncode else ProcessTime(seconds, usage.ru_utime + usage.ru_stime)


def _figures(runs: ProcessTimes, place: str, name: str) -> Figures:
    times = [run for run in runs[place, name][1:] if run is not None]
    torch = [run for run in runs[place, TORCH][1:] if run is not None]
    if len(times) < len(torch):
        return {"failed": True}
    return {
        **{field: spread([getattr(run, field) for run in times]) for field in ProcessTime._fields},
        "share_of_import_torch": ratio(
            [run.processor_seconds for run in times], [run.processor_seconds for run in torch]
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
        return time_programs({"here": Path(folder)}, names, bench.repeats)["here"]


MEASUREMENT = Measurement("startup", "start-up time of commands, relative to importing torch alone", _measure)
