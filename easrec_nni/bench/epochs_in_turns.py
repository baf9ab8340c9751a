"""Search epochs and training epochs in alternation: overhead of the shared supernet.

The training epochs are those of the largest network.
"""

from __future__ import annotations

from easrec_nni.bench.epochs import Training, search_epoch
from easrec_nni.bench.measurement import Bench, Figures, Measurement
from easrec_nni.bench.repeats import in_turns, ratio, spread
from easrec_nni.common.errors import UserError
from easrec_nni.training.context import TrialContext

__all__ = ["MEASUREMENT"]


def _measure(bench: Bench) -> Figures:
    if bench.space.is_fixed:
        raise UserError("the settings' space has only one architecture: there is no search to measure")
    batch = bench.context.settings.search.batch_size
    # Both use the same batches: same size, same order.
    settings = bench.settings.with_parameters({"retrain.batch_size": batch, "space.supernet": "shared"})
    context = TrialContext.open(settings, bench.dataset)
    turns = in_turns(
        {
            "search": lambda: search_epoch(context, bench.batches),
            "training": lambda: Training(bench.network(bench.space.largest), context).epoch(bench.batches),
        },
        bench.repeats,
    )
    seconds = {name: [epoch.epoch_seconds for epoch in epochs] for name, epochs in turns.items()}
    processor = {name: [epoch.epoch_processor_seconds for epoch in epochs] for name, epochs in turns.items()}
    training = turns["training"]
    return {
        **{f"{name}_epoch_seconds": spread(values) for name, values in seconds.items()},
        **{f"{name}_epoch_processor_seconds": spread(values) for name, values in processor.items()},
        "search_over_training": ratio(seconds["search"], seconds["training"]),
        "measured_batches": len(training[-1].seconds),
        "batches_of_an_epoch": training[-1].batches,
        "batch_size": batch,
        "architecture_steps_every": settings.search.arch_every,
    }


MEASUREMENT = Measurement(
    "epochs", "a search epoch with shared weights and a training epoch of the largest network, in alternation", _measure
)
