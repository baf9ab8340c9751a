"""Accuracy of a supernet's architectures by inherited weights."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable

import numpy as np
import torch

from easrec_nni.common.provenance import provenance
from easrec_nni.data.batches.evaluation import EvaluationBatches
from easrec_nni.evaluation.ranking import Ranker, metrics_of
from easrec_nni.evaluation.scoring import evaluation_batch_size, network_device
from easrec_nni.evaluation.selection import protocol_of
from easrec_nni.searching.front import EvaluatedArchitecture, Front
from easrec_nni.training.context import TrialContext
from search_spaces import Choice, EASRecNetwork, SpaceConfig

__all__ = ["choices_to_evaluate", "evaluate_architectures", "inherited_figures"]

_logger = logging.getLogger(__name__)


def choices_to_evaluate(config: SpaceConfig, limit: int, seed: int, always: Collection[Choice] = ()) -> list[Choice]:
    """Architectures of a space: all of them, or a random sample with the largest and the smallest.

    Parameters
    ----------
    config
        The space.
    limit
        Largest number of architectures, at least 2.
    seed
        Seed of the sample.
    always
        Further architectures of every sample.
    """
    everything = config.architectures()
    if len(everything) <= limit:
        return everything
    ends = {everything.index(choice) for choice in (config.largest, config.smallest, *always)}
    others = [number for number in range(len(everything)) if number not in ends]
    drawn = np.random.default_rng(seed).choice(others, max(0, limit - len(ends)), replace=False)
    return [everything[number] for number in sorted({*ends, *drawn.tolist()})]


@torch.no_grad()
def inherited_figures(context: TrialContext, network: EASRecNetwork) -> dict[str, float]:
    """Validation figures of a network over the selection users, ranked as ``select_by`` says."""
    dataset, protocol = context.dataset, protocol_of(context.figure)
    size = evaluation_batch_size(dataset.n_items)
    batches = EvaluationBatches(dataset, "valid", context.space.max_length, size, context.selection_rows)
    ranker, rows, device = Ranker(dataset, "valid", [protocol]), [], network_device(network)
    network.eval()
    for batch in batches:
        moved = type(batch)(*(tensor.to(device) for tensor in batch))
        ranker.add(network(moved.ids), moved)
        rows.append(batch.rows)
    users = dataset.split.valid.row_users
    return metrics_of(ranker.ranks(), users=None if users is None else users[torch.cat(rows).numpy()])


def evaluate_architectures(
    context: TrialContext,
    freeze: Callable[[Choice], EASRecNetwork],
    choices: Iterable[Choice],
) -> Front:
    """Evaluate architectures with a supernet's weights.

    Parameters
    ----------
    context
        Context of the search.
    freeze
        Function that returns an architecture's compact network with the supernet's weights.
    choices
        The architectures, among them the largest.
    """
    rows = [
        EvaluatedArchitecture(
            **choice.model_dump(),
            metrics=inherited_figures(context, freeze(choice)),
            cost=context.cost(choice).as_dict(),
        )
        for choice in choices
    ]
    total = len(context.space.architectures())
    if len(rows) < total:
        _logger.info("%d of %d architectures evaluated, drawn at random (search.elastic.evaluated)", len(rows), total)
    return Front(
        dataset=context.dataset.name,
        fingerprint=context.dataset.fingerprint,
        figure=context.figure,
        users=len(np.unique(context.dataset.split.valid.users[context.selection_rows])),
        of=total,
        largest=context.space.largest,
        architectures=rows,
        **provenance(),
    )
