"""One search epoch and one training epoch, in turns, and what the shared supernet costs over the largest network."""

from __future__ import annotations

from easrec_nni.bench.epochs import Training, search_epoch
from easrec_nni.bench.measurement import Bench, Figures, Measurement
from easrec_nni.bench.repeats import ratio, spread
from easrec_nni.common.errors import UserError
from easrec_nni.training.context import TrialContext

__all__ = ["MEASUREMENT"]


def _measure(bench: Bench) -> Figures:
    if bench.space.is_fixed:
        raise UserError("the settings' space has one architecture, so that there is no search to measure")
    batch = bench.settings.search.batch_size
    # The largest network is trained on the same batches: same size, same order.
    settings = bench.settings.with_parameters({"retrain.batch_size": batch, "space.supernet": "shared"})
    context = TrialContext.open(settings, bench.dataset)
    searching, training = [], []
    for turn in range(bench.repeats + 1):
        search = search_epoch(context, bench.batches)
        train = Training(bench.network(bench.space.largest), context).epoch(bench.batches)
        if turn:  # the first is the warm-up
            searching.append(search)
            training.append(train)
    ours = [each.epoch_seconds for each in training]
    theirs = [each.epoch_seconds for each in searching]
    return {
        "search_epoch_seconds": spread(theirs),
        "training_epoch_seconds": spread(ours),
        "search_over_training": ratio(theirs, ours),
        "measured_batches": len(training[-1].seconds),
        "batches_of_an_epoch": training[-1].batches,
        "batch_size": batch,
        "architecture_steps_every": settings.search.arch_every,
    }


MEASUREMENT = Measurement(
    "epochs", "a search epoch with shared weights and a training epoch of the largest network, in turns", _measure
)
