"""Registry of all measurements, in the order in which they run."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from easrec_nni.bench import (
    epochs_in_turns,
    evaluating,
    loss_memory,
    matmul,
    micro_batches,
    onnx_files,
    prepare_scale,
    preparing,
    profiling,
    reaching,
    scaling,
    serving,
    startup,
    streaming,
)
from easrec_nni.bench.measurement import Measurement
from easrec_nni.common.errors import UserError

__all__ = ["ALL", "select_measurements"]

_logger = logging.getLogger(__name__)

ALL: dict[str, Measurement] = {
    measurement.name: measurement
    for measurement in (
        matmul.MEASUREMENT,
        startup.MEASUREMENT,
        preparing.MEASUREMENT,
        epochs_in_turns.MEASUREMENT,
        evaluating.MEASUREMENT,
        serving.MEASUREMENT,
        streaming.MEASUREMENT,
        onnx_files.MEASUREMENT,
        profiling.MEASUREMENT,
        micro_batches.MEASUREMENT,
        *scaling.MEASUREMENTS,
        loss_memory.MEASUREMENT,
        prepare_scale.MEASUREMENT,
        reaching.MEASUREMENT,
    )
}
"""Measurements by name. A new one is one file in this folder and one line here."""


def select_measurements(only: Sequence[str], skip: Sequence[str]) -> list[Measurement]:
    """Select measurements by name, in the registry's order.

    Parameters
    ----------
    only
        Measurements to run; if empty, all that run by default and whose packages are installed.
    skip
        Measurements to skip.

    Raises
    ------
    UserError
        A name is unknown, or a package that one of ``only`` needs is missing.
    """
    for name in [*only, *skip]:
        if name not in ALL:
            raise UserError(f"there is no measurement {name!r}; choose from {', '.join(ALL)}")
    names = [name for name in only or (name for name in ALL if ALL[name].by_default) if name not in skip]
    return [ALL[name] for name in ALL if name in names and _can_run(ALL[name], required=name in only)]


def _can_run(measurement: Measurement, required: bool) -> bool:
    try:
        measurement.check()
    except UserError as error:
        if required:
            raise
        _logger.warning("%s is skipped: %s", measurement.name, error.message)
        return False
    return True
