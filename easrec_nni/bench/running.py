"""Measurements one after the other, each kept as soon as it is complete."""

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
from easrec_nni.data.download import file_digest
from easrec_nni.data.loading import load_dataset

__all__ = ["all_measured", "measure", "run_measurements"]

_logger = logging.getLogger(__name__)


def run_measurements(
    request: BenchRequest, measurements: Sequence[Measurement], out: Path, restart: bool = False
) -> dict[str, dict[str, Any]]:
    """Run what is not complete yet.

    Parameters
    ----------
    request
        What is measured.
    measurements
        In this order.
    out
        Folder; each measurement becomes ``measurements/NAME.json``.
    restart
        Measure again what is there.

    Returns
    -------
    dict
        Documents by the measurements' names.

    Raises
    ------
    UserError
        The folder holds a measurement of something else, or one fails.
    """
    asked = _identity(request)
    documents: dict[str, dict[str, Any]] = {}
    for measurement in measurements:
        file = out / "measurements" / f"{measurement.name}.json"
        known = None if restart else _known(file, asked)
        if known is not None:
            _logger.info("%s: complete, taken as it is", measurement.name)
            documents[measurement.name] = known
            continue
        _logger.info("%s: %s …", measurement.name, measurement.summary)
        before = load_average()
        document = {
            "schema_version": 2,
            "measurement": measurement.name,
            "summary": measurement.summary,
            **_measured(measurement.name, request),
            "request": asked,
            "allocator": request.allocator,
            **benchmark_provenance(before),
        }
        write_json(file, document)
        documents[measurement.name] = document
        _logger.info("%s: done in %.0f s", measurement.name, document["took_seconds"])
    return documents


def all_measured(out: Path, order: Sequence[str], newest: Mapping[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """What a folder holds: with the newest measurements those that were made there before, so that none is hidden.

    Parameters
    ----------
    out
        Folder of :func:`run_measurements`.
    order
        Names of all measurements.
    newest
        What has just been measured, by name.

    Raises
    ------
    UserError
        A measurement that was made before is damaged.
    """
    found = {}
    for name in order:
        file = out / "measurements" / f"{name}.json"
        if name in newest:
            found[name] = newest[name]
        elif file.is_file():
            try:
                found[name] = read_json(file)
            except (OSError, ValueError):
                raise UserError(f"{file} is damaged: remove it, or measure {name} anew with --restart") from None
    return found


def _known(file: Path, asked: dict[str, Any]) -> dict[str, Any] | None:
    if not file.is_file():
        return None
    try:
        document: dict[str, Any] = read_json(file)
        same = document["request"] == asked
    except (OSError, ValueError, KeyError, TypeError):
        raise UserError(f"{file} is damaged: --restart measures anew") from None
    if not same:
        raise UserError(f"{file} was measured with other settings: choose another --out, or --restart to measure anew")
    return document


def measure(name: str, request: dict[str, Any]) -> Figures:
    """Figures of a measurement in this process, with its time and memory.

    Parameters
    ----------
    name
        A key of :data:`easrec_nni.bench.measurements.ALL`.
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


def _measured(name: str, request: BenchRequest) -> Figures:
    """A measurement from a process of its own; a quick one from this process, whose memory says nothing."""
    figures = Bench(request).in_own_process(measure, name=name, request=request.model_dump(mode="json"))
    return {key: value for key, value in figures.items() if not (request.quick and "peak_memory" in key)}


def _identity(request: BenchRequest) -> dict[str, Any]:
    """The request with what its dataset and retrained networks hold in the place of where they are."""
    dataset = None if request.dataset is None else DatasetReference.of(load_dataset(request.dataset)).model_dump()
    try:
        weights = [file_digest(Path(run) / "weights.safetensors") for run in request.runs]
    except OSError as error:
        raise UserError(f"--run: {error.filename} cannot be read ({error.strerror})") from None
    asked = request.model_dump(mode="json")
    if not request.sizes:  # which folders of earlier versions do not name
        del asked["sizes"]
    return asked | {"dataset": dataset, "runs_sha256": weights}
