"""Measured efficiency: inference time and memory of trained networks.

Each network is loaded into a fresh process, so that its peak memory includes no other network. The processes stay alive
and are measured in alternation (A, B, C, A, B, C, …), one at a time, so that other load on the machine affects all
alike.
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
from easrec_nni.bench.machine import Allocator, allocator_environment, benchmark_provenance, load_average
from easrec_nni.bench.repeats import spread
from easrec_nni.bench.worker_process import LineProcess
from easrec_nni.common.errors import UserError
from easrec_nni.common.files import write_json
from easrec_nni.common.run_files import RETRAINED_FOLDER, WEIGHTS_FILE
from easrec_nni.common.threads import available_threads, thread_environment
from easrec_nni.data.dataset import Dataset
from easrec_nni.data.loading import load_dataset
from easrec_nni.study.cells import read_result
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
    """Worker process that holds a loaded network and measures on request."""

    @property
    def facts(self) -> dict[str, Any]:
        """Facts about the loaded network."""

    def ask(self, request: str) -> dict[str, Any]:
        """Send a request (see ``efficiency_worker.serve``) and return the answer."""

    def close(self) -> None:
        """Kill the process."""


class WorkerProcess(LineProcess):
    """Worker process running :mod:`easrec_nni.study.efficiency_worker`.

    Parameters
    ----------
    cell
        Folder of the cell.
    dataset
        Prepared dataset of the cell.
    threads
        Number of threads of the process.
    allocator
        See :func:`easrec_nni.bench.machine.allocator_environment`.

    Raises
    ------
    UserError
        The process cannot load the network.
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
    """Measure the trained networks of cells, in alternation.

    Parameters
    ----------
    cells
        Folders of complete cells. Those without a trained network, such as popularity's, are listed as skipped.
    dataset
        Dataset the networks were trained on.
    threads
        Number of threads of each process; by default ``OMP_NUM_THREADS``, or the number of cores.
    repeats
        Number of turns; each scores the whole test set once and 200 users one by one.
    allocator
        See :func:`easrec_nni.bench.machine.allocator_environment`.
    start
        Function that starts a worker; replaced in tests.

    Returns
    -------
    EfficiencyDocument
        Repeated figures have ``median``, ``min`` and ``max`` over the turns; ``latency_ms_batch1`` is taken from each
        turn's median user. ``inference_processor_seconds_test_set`` is the processor time over all cores, which other
        programs affect less. ``peak_memory_bytes`` is that of the whole process, ``baseline_peak_memory_bytes`` its
        peak before the network was loaded.

    Raises
    ------
    UserError
        A cell is not complete, is of another dataset, or cannot be measured.
    """
    if repeats < 1:
        raise UserError(f"repeats={repeats}: must be 1 or more")
    data = dataset if isinstance(dataset, Dataset) else load_dataset(dataset)
    results = {cell: _result(cell, data) for cell in cells}
    trained = [cell for cell in cells if (cell / RETRAINED_FOLDER / WEIGHTS_FILE).is_file()]
    count = threads or available_threads()
    before = load_average()
    with ExitStack() as stack:
        workers = []
        for cell in trained:  # one after the other, so that no warm-up runs beside another
            workers.append(start(cell, data, count, allocator))
            stack.callback(workers[-1].close)
        turns = _take_turns(workers, repeats)
        rows = [_row(results[cell], worker, turn) for cell, worker, turn in zip(trained, workers, turns, strict=True)]
    return EfficiencyDocument(
        schema_version=SCHEMA_VERSION,
        threads=count,
        allocator=allocator,
        repeats=repeats,
        order="in turns, one process at work at a time",
        rows=rows,
        skipped=[CellIdentity(**_identity(results[cell])) for cell in cells if cell not in trained],
        dataset=DatasetIdentity.of(data),
        **benchmark_provenance(before),
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
        See :func:`measure_systems`.

    Raises
    ------
    UserError
        See :func:`measure_systems`.
    """
    document = measure_systems(cells, read_settings(study).data, threads, repeats, start=start)
    write_json(study / EFFICIENCY_FILE, document.as_json())
    return document


def _result(cell: Path, dataset: Dataset) -> CellResult:
    result = read_result(cell)
    if result is None:
        raise UserError(f"{cell} has no result: run `easrec reproduce` to the end before measuring")
    if result.dataset.fingerprint != dataset.fingerprint:
        raise UserError(f"{cell} was not trained on {dataset.path}: give the dataset it was trained on")
    return result


def _identity(result: CellResult) -> dict[str, Any]:
    return {"system": result.system, "seed": result.seed, "parameters": result.parameters}


def _take_turns(workers: Sequence[Worker], repeats: int) -> list[list[dict[str, Any]]]:
    """Measure a pass and single-user latencies, for each worker in each turn."""
    turns: list[list[dict[str, Any]]] = [[] for _ in workers]
    for turn in range(repeats):
        for worker, measurements in zip(workers, turns, strict=True):
            measurements.append(worker.ask("pass") | worker.ask("latency"))
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
