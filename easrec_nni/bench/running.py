"""Measurements one after the other, each kept as soon as it is complete."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from easrec_nni.architecture.document import DatasetReference
from easrec_nni.bench.machine import Allocator, allocator_environment, describe_machine
from easrec_nni.bench.measurement import BenchRequest, Measurement
from easrec_nni.bench.worker_process import LineProcess
from easrec_nni.common.errors import UserError
from easrec_nni.common.files import read_json, write_json
from easrec_nni.common.provenance import provenance
from easrec_nni.common.threads import thread_environment
from easrec_nni.data.loading import load_dataset

__all__ = ["all_measured", "run_measurements"]

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
    dataset = load_dataset(request.dataset)
    asked = request.model_dump(mode="json", exclude={"dataset"}) | {
        "dataset": DatasetReference.of(dataset).model_dump()
    }
    documents: dict[str, dict[str, Any]] = {}
    for measurement in measurements:
        file = out / "measurements" / f"{measurement.name}.json"
        known = None if restart else _known(file, asked)
        if known is not None:
            _logger.info("%s: complete, taken as it is", measurement.name)
            documents[measurement.name] = known
            continue
        _logger.info("%s: %s …", measurement.name, measurement.summary)
        document = {
            "schema_version": 1,
            "measurement": measurement.name,
            "summary": measurement.summary,
            **_measured(measurement.name, request),
            "request": asked,
            "allocator": request.allocator,
            "machine": describe_machine(),
            **provenance(),
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


def _measured(name: str, request: BenchRequest) -> dict[str, Any]:
    """A measurement from a process of its own; a quick one from this process, whose memory says nothing."""
    if request.quick:
        from easrec_nni.bench.worker import measure

        figures = measure(name, request)
        return {key: value for key, value in figures.items() if "peak_memory" not in key}
    environment = allocator_environment(cast(Allocator, request.allocator))
    process = LineProcess(
        name,
        [sys.executable, "-m", "easrec_nni.bench.worker", name, json.dumps(request.model_dump(mode="json"))],
        environment | thread_environment(request.threads),
    )
    process.close()
    return process.facts
