"""Target ranks from scores, by protocol, batch by batch."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from easrec_nni.common.errors import UserError
from easrec_nni.data.batches.evaluation import EvaluationBatch
from easrec_nni.data.batches.padding import padded
from easrec_nni.data.dataset import Dataset
from easrec_nni.data.splits.checks import check_targets
from easrec_nni.evaluation.metrics import metrics_from_ranks
from easrec_nni.evaluation.ranks import full_ranks, sampled_ranks

__all__ = ["KNOWN_PROTOCOLS", "PROTOCOLS", "Ranker", "metrics_of"]

KNOWN_PROTOCOLS = ("full", "unseen", "pop100", "pop100_recbole", "uni100")
"""All ranking protocols; see :mod:`easrec_nni.evaluation.metrics`."""
PROTOCOLS = ("full", "pop100")
"""Default protocols."""


def metrics_of(
    ranks: dict[str, NDArray[np.int64]], k: int | Sequence[int] = 10, users: NDArray[np.int64] | None = None
) -> dict[str, float]:
    """Recall, MRR and NDCG of all protocols at one or several k.

    Parameters
    ----------
    ranks, k
        As in :func:`~easrec_nni.evaluation.metrics.metrics_from_ranks`.
    users
        Users of the targets, where some have several.
    """
    result: dict[str, float] = {}
    for name, values in ranks.items():
        result |= metrics_from_ranks(values, k, name, users)
    return result


class Ranker:
    """Accumulator of target ranks from batches of scores, for one dataset and part.

    Parameters
    ----------
    dataset
        Dataset that provides targets and sampled negatives.
    part
        ``valid`` or ``test``.
    protocols
        Any of :data:`KNOWN_PROTOCOLS`.

    Raises
    ------
    UserError
        The part is unknown, or it has no targets because all interactions train.
    ValueError
        A protocol is unknown.
    """

    def __init__(self, dataset: Dataset, part: str, protocols: Sequence[str] = PROTOCOLS) -> None:
        if part not in ("valid", "test"):
            raise UserError(f"part={part!r}: evaluate on valid or test")
        self.protocols = tuple(dict.fromkeys(protocols))
        self.negatives = {name: dataset.negatives(name, part) for name in protocols if name not in ("full", "unseen")}
        check_targets(dataset.split, f"the dataset {dataset.name}: ")
        self.dataset, self.targets = dataset, dataset.split.part(part)
        unknown = self.targets.unknown_items
        self.unknown = torch.from_numpy(unknown) if len(unknown) else None
        self.collected: dict[str, list[Tensor]] = {name: [] for name in protocols}

    def add(self, scores: Tensor, batch: EvaluationBatch) -> None:
        """Add the ranks of a batch: scores ``[B, n_items + 1]``."""
        unknown = None if self.unknown is None else self.unknown.to(scores.device)
        for name in self.protocols:
            if name == "full":
                ranks = full_ranks(scores, batch.targets, unknown=unknown)
            elif name == "unseen":
                ranks = full_ranks(scores, batch.targets, self._histories(batch).to(scores.device), unknown)
            else:
                rows = batch.rows.cpu().numpy()
                sampled = torch.from_numpy(np.asarray(self.negatives[name][rows], dtype=np.int64))  # [B, K]
                ranks = sampled_ranks(scores, batch.targets, sampled.to(scores.device))
            self.collected[name].append(ranks.cpu())

    def _histories(self, batch: EvaluationBatch) -> Tensor:
        """Full histories before the targets, ``[B, longest]``, with the target itself set to 0."""
        rows = batch.rows.cpu().numpy()
        begins, ends = self.dataset.offsets[self.targets.users[rows]], self.targets.history_ends[rows]
        seen = padded(self.dataset.items, begins, ends)  # [B, longest]
        return torch.from_numpy(np.where(seen == batch.targets.cpu().numpy()[:, None], 0, seen))

    def ranks(self) -> dict[str, NDArray[np.int64]]:
        """Ranks by protocol of all targets, in the order they were added."""
        return {name: torch.cat(parts).numpy() for name, parts in self.collected.items()}
