"""All measurements, in the order in which they run."""

from __future__ import annotations

from easrec_nni.bench import (
    epochs_in_turns,
    evaluating,
    matmul,
    micro_batches,
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

__all__ = ["ALL", "chosen"]

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
        profiling.MEASUREMENT,
        micro_batches.MEASUREMENT,
        *scaling.MEASUREMENTS,
        reaching.MEASUREMENT,
    )
}
"""By name. A new measurement is one file in this folder and one line here."""


def chosen(only: list[str], skip: list[str]) -> list[Measurement]:
    """Measurements by name, in their order.

    Parameters
    ----------
    only
        Those to run, all if there are none.
    skip
        Those to leave out.

    Raises
    ------
    UserError
        There is no such measurement.
    """
    for name in [*only, *skip]:
        if name not in ALL:
            raise UserError(f"there is no measurement {name!r}; choose from {', '.join(ALL)}")
    return [ALL[name] for name in ALL if (not only or name in only) and name not in skip]
