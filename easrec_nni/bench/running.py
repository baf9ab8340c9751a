"""Runs measurements one after the other, each saved as soon as it is complete."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from easrec_nni.architecture.document import DatasetReference
from easrec_nni.bench.machine import benchmark_provenance, load_average
from easrec_nni.bench.measurement import Bench, BenchRequest, Figures, Measurement
from easrec_nni.bench.measurements import ALL
from easrec_nni.bench.memory import peak_memory_bytes
from easrec_nni.bench.repeats import timed
from easrec_nni.common.errors import UserError
from easrec_nni.common.files import read_json, write_json
from easrec_nni.common.run_files import WEIGHTS_FILE
from easrec_nni.data.download import file_digest
from easrec_nni.data.loading import load_dataset

__all__ = ["all_documents", "measure", "run_measurements"]

_logger = logging.getLogger(__name__)


def run_measurements(
    request: BenchRequest, measurements: Sequence[Measurement], out: Path, restart: bool = False
) -> dict[str, dict[str, Any]]:
    """Run the measurements that are not complete yet.

    Parameters
    ----------
    request
        Request of the user.
    measurements
        Measurements to run, in order.
    out
        Output folder; each measurement is written to ``measurements/NAME.json``.
    restart
        Whether to repeat measurements that are already complete.

    Returns
    -------
    dict
        Documents by the measurements' names.

    Raises
    ------
    UserError
        The folder holds measurements of another request, or one fails.
    """
    identity = _identity(request)
    documents: dict[str, dict[str, Any]] = {}
    for measurement in measurements:
        file = out / "measurements" / f"{measurement.name}.json"
        complete = None if restart else _complete_document(file, identity)
        if complete is not None:
            _logger.info("%s: already complete, reusing it", measurement.name)
            documents[measurement.name] = complete
            continue
        _logger.info("%s: %s …", measurement.name, measurement.summary)
        before = load_average()
        document = {
            "schema_version": 2,
            "measurement": measurement.name,
            "summary": measurement.summary,
            **_measure_in_process(measurement.name, request),
            "request": identity,
            "allocator": request.allocator,
            **benchmark_provenance(before),
        }
        write_json(file, document)
        documents[measurement.name] = document
        _logger.info("%s: done in %.0f s", measurement.name, document["took_seconds"])
    return documents


def all_documents(out: Path, order: Sequence[str], newest: Mapping[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Documents of all measurements in a folder, those of earlier runs included.

    Parameters
    ----------
    out
        Output folder of :func:`run_measurements`.
    order
        Names of all measurements.
    newest
        Documents of the measurements just made, by name.

    Raises
    ------
    UserError
        The file of an earlier measurement is damaged.
    """
    documents = {}
    for name in order:
        file = out / "measurements" / f"{name}.json"
        if name in newest:
            documents[name] = newest[name]
        elif file.is_file():
            try:
                documents[name] = read_json(file)
            except (OSError, ValueError):
                raise UserError(f"{file} is damaged: remove it, or measure {name} again with --restart") from None
    return documents


def _complete_document(file: Path, identity: dict[str, Any]) -> dict[str, Any] | None:
    if not file.is_file():
        return None
    try:
        document: dict[str, Any] = read_json(file)
        same = document["request"] == identity
    except (OSError, ValueError, KeyError, TypeError):
        raise UserError(f"{file} is damaged: pass --restart to measure again") from None
    if not same:
        raise UserError(
            f"{file} was measured with other settings: choose another --out, or pass --restart to start over"
        )
    return document


def measure(name: str, request: dict[str, Any]) -> Figures:
    """Run a measurement in this process; return its figures, time and memory.

    Parameters
    ----------
    name
        Key of :data:`easrec_nni.bench.measurements.ALL`.
    request
        Fields of the :class:`~easrec_nni.bench.measurement.BenchRequest`.
    """
    baseline, figures = peak_memory_bytes(), Figures()
    times = timed(lambda: figures.update(ALL[name].measure(Bench(BenchRequest(**request)))))
    return {
        "figures": figures,
        **{f"took_{key}": value for key, value in times.items()},
        "peak_memory_bytes": peak_memory_bytes(),
        "baseline_peak_memory_bytes": baseline,
        "threads": torch.get_num_threads(),
    }


def _measure_in_process(name: str, request: BenchRequest) -> Figures:
    """Run a measurement in a separate process, or, if quick, in this one, without memory."""
    figures = Bench(request).in_own_process(measure, name=name, request=request.model_dump(mode="json"))
    return {key: value for key, value in figures.items() if not (request.quick and "peak_memory" in key)}


def _identity(request: BenchRequest) -> dict[str, Any]:
    """Request with fingerprints in place of the paths of its dataset and retrained networks."""
    dataset = None if request.dataset is None else DatasetReference.of(load_dataset(request.dataset)).model_dump()
    try:
        weights = [file_digest(Path(run) / WEIGHTS_FILE) for run in request.runs]
    except OSError as error:
        raise UserError(f"--run: {error.filename} cannot be read ({error.strerror})") from None
    asked = request.model_dump(mode="json")
    if not request.sizes:  # which folders of earlier versions do not name
        del asked["sizes"]
    return asked | {"dataset": dataset, "runs_sha256": weights}
