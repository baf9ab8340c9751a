"""Measured efficiency: what trained networks need when they serve, side by side.

Each network is loaded into a fresh process of its own, so that its peak of memory is its own. The processes stay alive
and take turns (A, B, C, A, B, C, …), one at work at a time: a machine that grows slower or is disturbed hits all alike.
"""

from __future__ import annotations

import logging
import statistics
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Protocol

from easrec_nni.architecture.schema import DatasetIdentity
from easrec_nni.bench.machine import Allocator, allocator_environment, describe_machine, load_average
from easrec_nni.bench.repeats import spread
from easrec_nni.bench.worker_process import LineProcess
from easrec_nni.common.errors import UserError
from easrec_nni.common.files import write_json
from easrec_nni.common.provenance import provenance
from easrec_nni.common.threads import available_threads, thread_environment
from easrec_nni.data.dataset import Dataset
from easrec_nni.data.loading import load_dataset
from easrec_nni.study.cells import RETRAINED, WEIGHTS, read_result
from easrec_nni.study.documents import (
    EFFICIENCY_FILE,
    SCHEMA_VERSION,
    CellIdentity,
    CellResult,
    EfficiencyDocument,
    EfficiencyRow,
    Spread,
)
from easrec_nni.study.folder import read_settings

__all__ = ["Worker", "WorkerProcess", "measure_study", "measure_systems"]

LATENCY_USERS = 200
_logger = logging.getLogger(__name__)


class Worker(Protocol):
    """A loaded network that is measured when asked."""

    @property
    def facts(self) -> dict[str, Any]:
        """What it said when it was loaded."""

    def ask(self, request: str) -> dict[str, Any]:
        """Answer to ``pass``, ``latency`` or ``memory``; see :func:`easrec_nni.study.efficiency_worker.serve`."""

    def close(self) -> None:
        """End it."""


class WorkerProcess(LineProcess):
    """A process of :mod:`easrec_nni.study.efficiency_worker`.

    Parameters
    ----------
    cell
        Folder of the cell.
    dataset
        The prepared dataset.
    threads
        Of the process.
    allocator
        See :func:`easrec_nni.bench.machine.allocator_environment`.

    Raises
    ------
    UserError
        It cannot load the network.
    """

    def __init__(self, cell: Path, dataset: Dataset, threads: int, allocator: Allocator) -> None:
        words = [str(cell.absolute()), str(dataset.path.absolute()), str(threads), str(LATENCY_USERS)]
        super().__init__(
            str(cell),
            [sys.executable, "-m", "easrec_nni.study.efficiency_worker", *words],
            allocator_environment(allocator) | thread_environment(threads),
        )


StartWorker = Callable[[Path, Dataset, int, Allocator], Worker]


def measure_systems(
    cells: Sequence[Path],
    dataset: Dataset | str | Path,
    threads: int | None = None,
    repeats: int = 5,
    *,
    allocator: Allocator = "keep",
    start: StartWorker = WorkerProcess,
) -> EfficiencyDocument:
    """Measure the trained networks of cells, in turns.

    Parameters
    ----------
    cells
        Folders of complete cells. One without a trained network, such as popularity's, is skipped, and named as such.
    dataset
        What they were trained on.
    threads
        Of each process; by default ``OMP_NUM_THREADS``, or the cores there are.
    repeats
        Turns of each network; every turn scores the whole test set once and 200 users one by one.
    allocator
        See :func:`easrec_nni.bench.machine.allocator_environment`.
    start
        What starts a worker; for tests.

    Returns
    -------
    EfficiencyDocument
        Of what is repeated, ``median``, ``min`` and ``max`` over the turns; ``latency_ms_batch1``
        of each turn's median user. ``inference_processor_seconds_test_set`` is the time of all cores for this process,
        which other programs disturb less. ``peak_memory_bytes`` is the whole process's, ``baseline_peak_memory_bytes``
        what it had needed before the network was loaded.

    Raises
    ------
    UserError
        A cell is not complete, is about other data, or cannot be measured.
    """
    if repeats < 1:
        raise UserError(f"repeats={repeats}: measure once or more")
    data = dataset if isinstance(dataset, Dataset) else load_dataset(dataset)
    results = {cell: _result(cell, data) for cell in cells}
    trained = [cell for cell in cells if (cell / RETRAINED / WEIGHTS).is_file()]
    count = threads or available_threads()
    before = load_average()
    with ExitStack() as stack:
        workers = []
        for cell in trained:  # one after the other: they would disturb each other's warm-up
            workers.append(start(cell, data, count, allocator))
            stack.callback(workers[-1].close)
        turns = _take_turns(workers, repeats)
        rows = [_row(results[cell], worker, own) for cell, worker, own in zip(trained, workers, turns, strict=True)]
    return EfficiencyDocument(
        schema_version=SCHEMA_VERSION,
        machine=describe_machine(),
        threads=count,
        allocator=allocator,
        repeats=repeats,
        order="in turns, one process at work at a time",
        load_average={"before": before, "after": load_average()},
        rows=rows,
        skipped=[CellIdentity(**_identity(results[cell])) for cell in cells if cell not in trained],
        dataset=DatasetIdentity.of(data),
        **provenance(),
    )


def measure_study(
    study: Path,
    cells: Sequence[Path],
    threads: int | None = None,
    repeats: int = 5,
    *,
    start: StartWorker = WorkerProcess,
) -> EfficiencyDocument:
    """Measure cells of a study and write its ``efficiency.json``.

    Parameters
    ----------
    study
        The study's folder.
    cells
        Folders of cells in it.
    threads, repeats, start
        As for :func:`measure_systems`.

    Raises
    ------
    UserError
        As :func:`measure_systems`.
    """
    document = measure_systems(cells, read_settings(study).data, threads, repeats, start=start)
    write_json(study / EFFICIENCY_FILE, document.as_json())
    return document


def _result(cell: Path, dataset: Dataset) -> CellResult:
    result = read_result(cell)
    if result is None:
        raise UserError(f"{cell} has no result: run `easrec reproduce` to the end before measuring")
    if result.dataset.fingerprint != dataset.fingerprint:
        raise UserError(f"{cell} is about other data than {dataset.path}: give the dataset that it was trained on")
    return result


def _identity(result: CellResult) -> dict[str, Any]:
    return {"system": result.system, "seed": result.seed, "parameters": result.parameters}


def _take_turns(workers: Sequence[Worker], repeats: int) -> list[list[dict[str, Any]]]:
    """Answers to a pass and to the latency of single users, of each worker in each of its turns."""
    turns: list[list[dict[str, Any]]] = [[] for _ in workers]
    for turn in range(repeats):
        for worker, own in zip(workers, turns, strict=True):
            own.append(worker.ask("pass") | worker.ask("latency"))
        _logger.info("efficiency: turn %d of %d", turn + 1, repeats)
    return turns


def _row(result: CellResult, worker: Worker, turns: Sequence[dict[str, Any]]) -> EfficiencyRow:
    facts, seconds = worker.facts, [turn["seconds"] for turn in turns]
    return EfficiencyRow(
        **_identity(result),
        inference_seconds_test_set=_spread(seconds),
        inference_processor_seconds_test_set=_spread([turn["processor_seconds"] for turn in turns]),
        inference_ms_per_user=_spread([1000 * value / facts["test_users"] for value in seconds]),
        latency_ms_batch1=_spread([statistics.median(turn["milliseconds"]) for turn in turns]),
        **{name: facts[name] for name in ("throughput_batch", "test_users", "latency_users")},
        **worker.ask("memory"),
        **{name: facts[name] for name in ("baseline_peak_memory_bytes", "bytes_on_disk")},
    )


def _spread(values: Sequence[float]) -> Spread:
    return Spread(**spread(values))
