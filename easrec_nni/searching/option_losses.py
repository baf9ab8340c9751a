"""Cross entropy of each candidate and depth of a supernet, without the constraint."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from easrec_nni.data.batches.evaluation import EvaluationBatches
from easrec_nni.evaluation.scoring import evaluation_batch_size
from easrec_nni.training.context import TrialContext
from easrec_nni.training.losses import item_cross_entropy
from easrec_nni.training.losses.calibrated import best_scale
from strategies import Selection

__all__ = ["MOST_USERS", "OptionLosses"]

MOST_USERS = 2048
"""Largest number of users whose targets are scored for each option; the same users in every epoch."""

SCALE_USERS = 256
"""Number of these users, about, whose targets decide the scale of an option's scores."""


class OptionLosses:
    """Softmax cross entropy (nats, all items, no dropout) of a supernet's one-hot networks.

    Each depth is measured with the largest candidate and each candidate at the largest depth, so that epochs are
    comparable. Targets are those that train alpha and beta; whatever loss the run trains with, this is the cross
    entropy of Eq. 13, at the best scale of the scores where that trains alpha and beta (``arch_loss: calibrated``).

    Parameters
    ----------
    context
        Context of the search.
    """

    def __init__(self, context: TrialContext) -> None:
        rows, dataset = context.architecture_rows, context.dataset
        if len(rows) > MOST_USERS:
            rows = np.sort(np.random.default_rng(0).choice(rows, MOST_USERS, replace=False))
        self.calibrates = context.settings.search.calibrates
        size = evaluation_batch_size(dataset.n_items)
        self.batches = EvaluationBatches(dataset, "valid", context.space.max_length, size, rows)

    @torch.no_grad()
    def __call__(self, space: Any, selection: Selection) -> dict[str, list[float]]:
        """Cross entropy of every option by label, in the order of alpha and beta.

        Parameters
        ----------
        space
            The supernet, wrapped by a strategy; a width or depth that is not in ``selection`` is fixed.
        selection
            Architecture parameters of the supernet.
        """
        # Candidates are ordered from largest to smallest, depths from smallest to largest.
        reference = {label: len(names) - 1 if label == "depth" else 0 for label, names in selection.options.items()}
        cache: dict[tuple[tuple[str, int], ...], float] = {}  # the reference network is an option of both labels
        losses: dict[str, list[float]] = {}
        was_training = space.training
        space.eval()
        try:
            for label, names in selection.options.items():
                losses[label] = []
                for index in range(len(names)):
                    options = reference | {label: index}
                    key = tuple(options.items())
                    if key not in cache:
                        with selection.only(options):
                            cache[key] = self._loss(space)
                    losses[label].append(cache[key])
        finally:
            space.train(was_training)
        return losses

    def _loss(self, space: Any) -> float:
        items = space.item_vectors()  # [n_items, d]
        batches = [(space.newest_state(batch.ids.to(items.device)), batch.targets - 1) for batch in self.batches]
        states = torch.cat([states for states, _ in batches])  # [users, d]
        targets = torch.cat([targets for _, targets in batches]).to(items.device)
        scale = 1.0
        if self.calibrates:
            some = slice(None, None, max(1, len(states) // SCALE_USERS))  # a single number needs fewer users
            scale = best_scale(lambda factor: float(item_cross_entropy(factor * states[some], items, targets[some])))
        return float(item_cross_entropy(scale * states, items, targets))
